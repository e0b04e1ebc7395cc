"""Facts of data sets that were never there."""

import dataclasses

import numpy as np

from tfrecog.fitting.facts import ClassFacts, Facts, three
from tfrecog.fitting.machine import Machine

TWO_CORES = Machine(2.0, 8 * 2**30)
A_GPU = Machine(16.0, 64 * 2**30, ("a GPU",))


def detection(images=200, short=480, ratio=4 / 3, sides=(("thing", 0.3),), each=5, shape=1.0, **facts):
    """Facts of pictures with `each` objects of every class, by its name and the share of the short side it fills."""
    random = np.random.default_rng(0)
    rows, classes = [], []
    for label, (name, side) in enumerate(sides, 1):
        sizes = side * np.exp(random.normal(0, 0.15, max(1, min(images * each, 2000))))
        shapes = shape * np.exp(random.normal(0, 0.1, len(sizes)))
        boxes = np.column_stack([np.full(len(sizes), label), sizes * np.sqrt(shapes), sizes / np.sqrt(shapes)])
        rows.append(boxes)
        classes.append(ClassFacts(name, images, len(boxes), three(sizes), three(shapes)))
    count = float(each * len(sides))
    made = Facts(
        folder="data",
        split="train",
        task="detection",
        images=images,
        looked=min(images, 1000),
        short=(float(short),) * 3,
        ratio=(ratio,) * 3,
        classes=tuple(classes),
        objects=int(images * count),
        most_objects=int(count),
        usual_objects=(count,) * 3,
        boxes=np.concatenate(rows),
    )
    return dataclasses.replace(made, **facts)


def classification(images=1000, short=300, names=("cat", "dog"), **facts):
    """Facts of pictures with a class each."""
    classes = tuple(ClassFacts(name, images // len(names)) for name in names)
    made = detection(images, short)
    return dataclasses.replace(
        made, task="classification", classes=classes, boxes=np.zeros((0, 3)), objects=0, most_objects=0, **facts
    )


def segmentation(images=367, short=360, pixels=(("road", 0.6), ("sky", 0.397), ("pole", 0.003)), **facts):
    """Facts of pictures with label maps."""
    classes = tuple(ClassFacts(name, images, pixels=share) for name, share in pixels)
    made = detection(images, short)
    return dataclasses.replace(
        made, task="segmentation", classes=classes, boxes=np.zeros((0, 3)), objects=0, most_objects=0, **facts
    )
