"""A classifier's input: JPEGs to batches of 64 crops of 224 pixels, beside a torchvision v2 DataLoader of two workers.

Both decode, cut out a random area and shape, resize it, mirror it at random and give float32. The peer also normalises,
which our network does itself. Without photos of your own the pictures are synthetic scenes of 480 x 640.
"""

import statistics
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import sides
from benchmarks.cases.input import loader, pipeline, scenes
from benchmarks.sides import Case

TITLE = "JPEG to batches of 64 random crops of 224x224, 2 workers"
WORKERS = True
BAR = 1 / 1.5  # of torchvision's time for an image: 1.5 times its images/s
LONGEST = {"as they are": 0, "of 500 pixels": 500}  # as most of ImageNet's
FILTERS = ("bilinear", "antialias")
# Each with all before it; and beside `batch`, what is off by default.
STAGES = ("read", "decode", "resize", "flip", "batch")
EXTRAS = ("jitter", "lighting", "randaugment", "mixup", "antialias")
IMAGES, RECORDS, BATCH, SIZE = 2560, 640, 64, 224  # IMAGES of a run


def cases(folder, options):
    """Yields each filter and size of picture; with the last of the first size, the cost of each of our stages."""
    images = options.images or scenes(folder)[0]
    for what, longest in LONGEST.items():
        # Records of the photos, over and over, in a class.
        photos, records = Path(folder, f"photos-{longest}", "photo"), f"{folder}/records-{longest}"
        _copy(images, longest, photos)
        pipeline("imagenet", images=photos.parent, split="train", out=records)
        for resize in FILTERS:
            check = _stages(options.runs) if not longest and resize == FILTERS[-1] else sides.no_check
            title = f"crop, {resize}, photos {what}"
            yield Case(resize, BAR, (records,), (photos,), warmups=1, title=title, images=1, check=check)


def _copy(images, longest, folder):
    """A folder of RECORDS photos, those of another over and over, their longest side at most so many pixels, if any."""
    folder.mkdir(parents=True)
    paths = sorted(Path(images).resolve().glob("*.jpg"))
    for i in range(RECORDS):
        copy = folder / f"{i:03}.jpg"
        if not longest or i >= len(paths):
            copy.symlink_to(folder / f"{i % len(paths):03}.jpg" if longest else paths[i % len(paths)])
            continue
        with Image.open(paths[i]) as picture:
            picture.thumbnail((longest, longest), Image.Resampling.BICUBIC)
            picture.convert("RGB").save(copy, quality=95)


def _stages(runs):
    """A check of the milliseconds an image that each stage of ours adds; a stage is measured with all before it."""

    def check(pair):
        names = (*STAGES, *EXTRAS)
        turns = [{name: 1e3 * pair.sides["ours"].run(name)["seconds"] for name in names} for _ in range(1 + runs)]
        medians = {name: statistics.median(turn[name] for turn in turns[1:]) for name in names}
        before = {name: medians.get(last, 0.0) for last, name in zip(("", *STAGES), STAGES, strict=False)}
        added = {name: medians[name] - before.get(name, medians["batch"]) for name in names}
        return {"milliseconds": medians, "added_milliseconds": {name: round(ms, 3) for name, ms in added.items()}}

    return check


def ours(folder):
    """The whole input by filter, what it costs up to each stage, and with each augmentation."""
    from tfrecog.config import AugmentConfig, DataConfig
    from tfrecog.data import classification
    from tfrecog.data.split import Split

    sides.tensorflow()
    split = Split.open(folder, "train")

    def whole(resize="bilinear", **augmented):
        data = DataConfig(records=folder, batch_size=BATCH, workers=sides.CORES, resize=resize)
        options = {"seed": 0, "start_step": 0, "steps": IMAGES // BATCH}
        return classification.training(data, AugmentConfig(**augmented), SIZE, split, **options)

    stages = _stage_datasets(DataConfig(records=folder, batch_size=BATCH, workers=sides.CORES), split)
    made = {name: lambda dataset=dataset: dataset for name, dataset in stages.items()} | {
        "bilinear": whole,
        "batch": whole,
        "antialias": lambda: whole("pillow"),
        "jitter": lambda: whole(jitter=(0.4, 0.4, 0.4)),
        "lighting": lambda: whole(lighting=0.1),
        "randaugment": lambda: whole(layers=2),
        "mixup": lambda: whole(mixup=0.2),
    }
    return {name: lambda make=make: sum(batch["image"].shape[0] for batch in make()) for name, make in made.items()}


def _stage_datasets(config, split):
    """Datasets of what the input does up to a stage; of pixels, only some values leave it, so that none is copied."""
    import tensorflow as tf

    from tfrecog.data import augment, image, parse, read

    def read_batch(step):
        wanted = (int(step) * BATCH + np.arange(BATCH)) % len(split)
        serialized = np.array([split.serialized(row) for row in wanted], object)
        return serialized, split.sizes[wanted]

    def record(step):
        serialized, size = read.python(read_batch, [step], [tf.string, tf.int32])
        encoded = parse.parse_images(tf.ensure_shape(serialized, [BATCH]), ["encoded"])["encoded"]
        seeds = tf.random.split(tf.stack([0, tf.cast(step, tf.int32)]), BATCH)
        return encoded, tf.ensure_shape(size, [BATCH, 2]), seeds

    def decoded(encoded, size, seed):
        window = augment.inception(size, image.fold(seed, 0), (0.08, 1.0), (3 / 4, 4 / 3))
        return image.decode_window(encoded, size, window)

    def resized(*record):
        return tf.ensure_shape(image.resize(decoded(*record), tf.constant([SIZE, SIZE])), [SIZE, SIZE, 3])

    def flipped(*record):
        return augment.flip(resized(*record), image.fold(record[2], 1), 0.5)

    of_records = tf.data.Dataset.range(IMAGES // BATCH).map(record, num_parallel_calls=sides.CORES).unbatch()
    stages = {
        "read": lambda encoded, size, seed: size,
        "decode": lambda *record: decoded(*record)[0, 0],
        "resize": lambda *record: resized(*record)[0, 0],
        "flip": lambda *record: flipped(*record)[0, 0],
    }
    return {
        name: read.prepare(of_records, lambda *record, stage=stage: {"image": stage(*record)}, config, BATCH)
        for name, stage in stages.items()
    }


class Photos:
    """For the peer's DataLoader: the photos of a folder, over and over, cropped at random."""

    def __init__(self, folder, antialias):
        import torch
        from torchvision.transforms import v2

        self.paths = sorted(Path(folder).glob("*.jpg"))
        crop, flip = v2.RandomResizedCrop(SIZE, antialias=antialias), v2.RandomHorizontalFlip(0.5)
        normalize = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        self.transform = v2.Compose([crop, flip, v2.ToDtype(torch.float32, scale=True), normalize])

    def __len__(self):
        return IMAGES

    def __getitem__(self, i):
        from torchvision.io import ImageReadMode, decode_jpeg, read_file

        pixels = decode_jpeg(read_file(str(self.paths[i % len(self.paths)])), mode=ImageReadMode.RGB)
        return self.transform(pixels), 1


def peer(photos):
    """torchvision's: `decode_jpeg`, transforms v2, and a DataLoader with a worker for each core."""
    batches = {name: loader(Photos(photos, name == "antialias"), BATCH) for name in FILTERS}
    return {name: lambda one=one: sum(len(images) for images, _ in one) for name, one in batches.items()}
