"""Networks that count."""

import keras

from tfrecog.config.counting import CountingConfig


def build(config: CountingConfig) -> keras.Model:
    """How many objects, [B, 1], are in images [B, S, S, 3] in 0..255."""
    return keras.Sequential(
        [
            keras.Input((config.side, config.side, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(config.channels, 3, strides=2, activation="relu", name="conv1"),
            keras.layers.Conv2D(config.channels, 3, strides=2, activation="relu", name="conv2"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, dtype="float32", name="count"),
        ],
        name="counter",
    )
