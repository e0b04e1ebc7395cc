"""Our side of classification_input.py: python ours_classification_input.py PHOTOS RECORDS"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image
from sides import CORES, serve

from tfrecog.config import AugmentConfig, DataConfig
from tfrecog.data import augment, classification, image, index, info, parse, read, records

IMAGES, RECORDS, BATCH, SIDE = 2560, 640, 64, 224  # IMAGES of a run


def main():
    tf.config.threading.set_inter_op_parallelism_threads(CORES)
    tf.config.threading.set_intra_op_parallelism_threads(CORES)
    photos, folder = map(Path, sys.argv[1:])
    write(photos, folder)
    dataset, rows = info.load(folder), index.load(folder, "train", ["label"])
    config = DataConfig(records=str(folder), batch_size=BATCH, workers=CORES)
    pillow = DataConfig(records=str(folder), batch_size=BATCH, workers=CORES, resize="pillow")

    def whole(data, **augmented):
        made = AugmentConfig(**augmented)
        batches = classification.training(data, made, SIDE, dataset, rows, seed=0, start_step=0, steps=IMAGES // BATCH)
        return lambda: sum(batch["image"].shape[0] for batch in batches)

    crops = {"bilinear": whole(config), "antialias": whole(pillow)}
    cases = {
        f"crop, {by}, photos {what}": run for what in ("as they are", "of 500 pixels") for by, run in crops.items()
    }
    cases |= {name: counted(made) for name, made in stages(config, rows).items()}
    cases |= {"batch": crops["bilinear"], "antialias": crops["antialias"]}
    cases |= {"jitter": whole(config, jitter=(0.4, 0.4, 0.4)), "lighting": whole(config, lighting=0.1)}
    cases |= {"randaugment": whole(config, layers=2), "mixup": whole(config, mixup=0.2)}
    serve(cases)


def write(photos, folder):
    """Records of the photos, over and over, with a label of 1."""
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
    split = info.Split(images=RECORDS, instances=0, crowd=0, shards=("train-00000.tfrecord",))
    info.save(folder, info.DatasetInfo(categories=(info.Category("photo", 1),), splits={"train": split}))


def stages(config, rows):
    """Datasets of what the input does up to a stage; of pixels, only some values leave it, so that none is copied."""
    folder = config.records

    def read_batch(step):
        wanted = (int(step) * BATCH + np.arange(BATCH)) % len(rows)
        serialized = np.array([read.read_or_report(folder, rows, row) for row in wanted], object)
        return serialized, np.stack([rows.height[wanted], rows.width[wanted]], axis=-1)

    def record(step):
        serialized, size = read.python(read_batch, [step], [tf.string, tf.int32])
        encoded = parse.parse_image(tf.ensure_shape(serialized, [BATCH]))["encoded"]
        return (
            encoded,
            tf.ensure_shape(size, [BATCH, 2]),
            tf.random.split(tf.stack([0, tf.cast(step, tf.int32)]), BATCH),
        )

    def decoded(encoded, size, seed):
        window = augment.inception(size, image.fold(seed, 0), (0.08, 1.0), (3 / 4, 4 / 3))
        return image.decode_window(encoded, size, window)

    def resized(*record):
        return tf.ensure_shape(image.resize(decoded(*record), tf.constant([SIDE, SIDE])), [SIDE, SIDE, 3])

    def flipped(*record):
        return augment.flip(resized(*record), image.fold(record[2], 1), 0.5)

    of_records = tf.data.Dataset.range(IMAGES // BATCH).map(record, num_parallel_calls=CORES).unbatch()

    def up_to(stage):
        return read.prepare(of_records, lambda *record: {"image": stage(*record)[0, 0]}, config, BATCH)

    reading = read.prepare(of_records, lambda encoded, size, seed: {"image": size}, config, BATCH)
    return {"read": reading, "decode": up_to(decoded), "resize": up_to(resized), "flip": up_to(flipped)}


def counted(dataset):
    return lambda: sum(batch["image"].shape[0] for batch in dataset)


if __name__ == "__main__":
    main()
