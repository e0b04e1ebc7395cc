"""Our side of input.py: python ours_input.py RECORDS"""

import sys

import tensorflow as tf
from sides import CORES, serve

from tfrecog.config import DataConfig
from tfrecog.data import detection, index, info

IMAGES = 128  # of a run, at least


def main():
    tf.config.threading.set_inter_op_parallelism_threads(CORES)
    tf.config.threading.set_intra_op_parallelism_threads(CORES)
    records = sys.argv[1]
    config = DataConfig(records=records, batch_size=4, short_side=(800,), long_side=1333, workers=CORES)
    rows = index.load(records, "train")
    steps = -(-IMAGES // 4)
    dataset = detection.training(config, info.load(records), rows, masks=True, seed=0, start_step=0, steps=steps)
    serve({"input, one image": lambda: sum(batch["image"].shape[0] for batch in dataset)})


if __name__ == "__main__":
    main()
