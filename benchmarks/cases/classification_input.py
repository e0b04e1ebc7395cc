"""A classifier's input: JPEGs to batches of 64 crops of 224 pixels, beside a torchvision v2 DataLoader of two workers.

Both decode, cut out a random area and shape, resize it, mirror it at random and give float32. The peer also normalises,
which our network does itself. Without photos of your own the pictures are synthetic scenes of 480 x 640.
"""

import statistics
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import sides
from benchmarks.cases.input import rates, scenes

TITLE = "JPEG to batches of 64 random crops of 224x224, 2 workers"
BAR = 1 / 1.5  # of torchvision's time for an image: 1.5 times its images/s
LONGEST = {"as they are": 0, "of 500 pixels": 500}  # as most of ImageNet's
FILTERS = ("bilinear", "antialias")
# Each with all before it; and beside `batch`, what is off by default.
STAGES = ("read", "decode", "resize", "flip", "batch")
EXTRAS = ("jitter", "lighting", "randaugment", "mixup", "antialias")
IMAGES, RECORDS, BATCH, SIZE = 2560, 640, 64, 224  # IMAGES of a run


def measure(options):
    """Yields a row (see `Sides.compare`) for each filter and size of picture, then the cost of each of our stages."""
    with tempfile.TemporaryDirectory() as folder:
        images = options.images or scenes(folder)[0]
        for what, longest in LONGEST.items():
            photos = _shrunk(images, longest, Path(folder) / str(longest)) if longest else str(images)
            records = f"{folder}/records-{longest}"
            with sides.Sides("classification_input", (photos, records), (photos,), family=True) as pair:
                for resize in FILTERS:
                    row = pair.compare(resize, options.runs, BAR, warmups=1)
                    row["case"] = f"crop, {resize}, photos {what}"
                    yield row | {"images_per_second": rates(row)}
                if not longest:
                    yield _stages(pair.sides["ours"], options.runs)


def _stages(side, runs):
    """Milliseconds an image that each stage adds; a stage is measured with all before it."""
    names = (*STAGES, *EXTRAS)
    took = {name: [] for name in names}
    for turn in range(1 + runs):
        for name in names:
            seconds = side.run(name)
            if turn:
                took[name].append(1e3 * seconds)
    medians = {name: statistics.median(values) for name, values in took.items()}
    added, before = {}, 0.0
    for name in STAGES:
        added[name], before = medians[name] - before, medians[name]
    added |= {name: medians[name] - medians["batch"] for name in EXTRAS}
    print("  ms an image, by stage: " + ", ".join(f"{name} {value:.2f}" for name, value in added.items()), flush=True)
    return {"case": "stages", "milliseconds": medians, "added_milliseconds": added}


def _shrunk(images, longest, folder):
    """A folder of the photos with their longest side at most so many pixels."""
    folder.mkdir()
    for path in sorted(Path(images).glob("*.jpg")):
        with Image.open(path) as picture:
            picture.thumbnail((longest, longest), Image.Resampling.BICUBIC)
            picture.convert("RGB").save(folder / path.name, quality=95)
    return str(folder)


def ours(photos, folder):
    """The whole input by filter, what it costs up to each stage, and with each augmentation."""
    import tensorflow as tf

    from tfrecog.config import AugmentConfig, DataConfig
    from tfrecog.data import classification
    from tfrecog.data.split import Split

    tf.config.threading.set_inter_op_parallelism_threads(sides.CORES)
    tf.config.threading.set_intra_op_parallelism_threads(sides.CORES)
    _write(Path(photos), Path(folder))
    split = Split.open(folder, "train")

    def whole(resize="bilinear", **augmented):
        data = DataConfig(records=folder, batch_size=BATCH, workers=sides.CORES, resize=resize)
        augment = AugmentConfig(**augmented)
        steps = IMAGES // BATCH
        return _counted(classification.training(data, augment, SIZE, split, seed=0, start_step=0, steps=steps))

    crops = {"bilinear": whole(), "antialias": whole("pillow")}
    stages = _stage_datasets(DataConfig(records=folder, batch_size=BATCH, workers=sides.CORES), split)
    return {
        **crops,
        **{name: _counted(made) for name, made in stages.items()},
        "batch": crops["bilinear"],
        "jitter": whole(jitter=(0.4, 0.4, 0.4)),
        "lighting": whole(lighting=0.1),
        "randaugment": whole(layers=2),
        "mixup": whole(mixup=0.2),
    }


def _counted(dataset):
    return lambda: sum(batch["image"].shape[0] for batch in dataset)


def _write(photos, folder):
    """Records of the photos, over and over, with a label of 1."""
    import tensorflow as tf

    from tfrecog.data import info, records

    folder.mkdir()
    none, paths = np.zeros([0], np.int64), sorted(photos.glob("*.jpg"))
    with tf.io.TFRecordWriter(str(folder / "train-00000.tfrecord")) as writer:
        for i in range(RECORDS):
            path = paths[i % len(paths)]
            width, height = Image.open(path).size
            record = records.Record(
                encoded=path.read_bytes(), format="jpeg", height=height, width=width, filename=path.name,
                source_id=str(i), boxes=np.zeros([0, 4], np.float32), labels=none, names=[], crowd=none.astype(bool),
                areas=none.astype(np.float32), ids=none, label=1, class_name="photo",
            )  # fmt: skip
            writer.write(records.encode(record))
    split = info.SplitInfo(images=RECORDS, instances=0, crowd=0, shards=("train-00000.tfrecord",))
    info.save(folder, info.DatasetInfo(categories=(info.Category("photo", 1),), splits={"train": split}))


def _stage_datasets(config, split):
    """Datasets of what the input does up to a stage; of pixels, only some values leave it, so that none is copied."""
    import tensorflow as tf

    from tfrecog.data import augment, image, parse, read

    def read_batch(step):
        wanted = (int(step) * BATCH + np.arange(BATCH)) % len(split)
        serialized = np.array([read.read_or_report(split, row) for row in wanted], object)
        return serialized, split.sizes[wanted]

    def record(step):
        serialized, size = read.python(read_batch, [step], [tf.string, tf.int32])
        encoded = parse.parse_images(tf.ensure_shape(serialized, [BATCH]), ["encoded"])["encoded"]
        return (
            encoded,
            tf.ensure_shape(size, [BATCH, 2]),
            tf.random.split(tf.stack([0, tf.cast(step, tf.int32)]), BATCH),
        )

    def decoded(encoded, size, seed):
        window = augment.inception(size, image.fold(seed, 0), (0.08, 1.0), (3 / 4, 4 / 3))
        return image.decode_window(encoded, size, window)

    def resized(*record):
        return tf.ensure_shape(image.resize(decoded(*record), tf.constant([SIZE, SIZE])), [SIZE, SIZE, 3])

    def flipped(*record):
        return augment.flip(resized(*record), image.fold(record[2], 1), 0.5)

    of_records = tf.data.Dataset.range(IMAGES // BATCH).map(record, num_parallel_calls=sides.CORES).unbatch()

    def up_to(stage):
        return read.prepare(of_records, lambda *record: {"image": stage(*record)[0, 0]}, config, BATCH)

    reading = read.prepare(of_records, lambda encoded, size, seed: {"image": size}, config, BATCH)
    return {"read": reading, "decode": up_to(decoded), "resize": up_to(resized), "flip": up_to(flipped)}


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
    import torch

    def epoch(antialias):
        loader = torch.utils.data.DataLoader(
            Photos(photos, antialias), batch_size=BATCH, shuffle=True, num_workers=sides.CORES, persistent_workers=True
        )
        return lambda: sum(len(images) for images, _ in loader)

    return {"bilinear": epoch(False), "antialias": epoch(True)}
