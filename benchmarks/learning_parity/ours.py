"""Our side: the experiment of the rules, what the peer gets of our records, and its weights as a run to start from."""

import dataclasses

import numpy as np

from benchmarks.learning_parity.rules import Rules
from tfrecog import config, tasks
from tfrecog.data import image
from tfrecog.data.split import Split
from tfrecog.runs import derived
from tfrecog.weights import torchvision


def experiment(rules: Rules, records: str, seed: int) -> config.Experiment:
    """The rules as an experiment of `tfrecog.train`."""
    proposals = config.ProposalConfig(rules.proposals, rules.proposals)
    return config.Experiment(
        metrics="coco",
        data=config.DataConfig(
            records=records,
            batch_size=rules.batch,
            short_side=(rules.short_side,),
            eval_short_side=rules.short_side,
            long_side=rules.long_side,
            aspect_ratios=(rules.aspect_ratio,),
        ),
        detector=config.DetectorConfig(
            backbone=config.BackboneConfig(name="resnet18", norm="batch", width=rules.width, frozen_stages=0),
            fpn=config.FpnConfig(channels=rules.channels, norm="batch"),
            rpn=config.RpnConfig(
                anchor_sizes=tuple(rules.anchor_sizes), samples=rules.anchor_samples, train=proposals, infer=proposals
            ),
            box=config.BoxConfig(hidden_units=rules.units, samples=rules.roi_samples),
        ),
        optim=config.OptimConfig(
            learning_rate=rules.rate,
            scaling="none",
            momentum=rules.momentum,
            weight_decay=rules.decay,
            decay_norm=True,  # torchvision decays all that it trains.
        ),
        schedule=config.ScheduleConfig(
            epochs=rules.epochs,
            warmup_epochs=rules.warmup,
            warmup_factor=rules.warmup_factor,
            drop_epochs=tuple(map(float, rules.drops)),
        ),
        train=config.TrainConfig(
            seed=seed, evaluate_epochs=rules.every, checkpoint_epochs=0, keep_checkpoints=1, summary_images=0
        ),
    )


def start(rules: Rules, records: str, state: dict[str, np.ndarray], folder) -> None:
    """Writes a run of torchvision's tensors by name, for `train.start_from`."""
    begun, info = experiment(rules, records, 0), Split.open(records, "train").info
    model = tasks.build(begun, info).build()
    torchvision.load(model, state)
    derived.write(folder, dataclasses.replace(begun, workdir=str(folder)), info, model, 0, "torchvision's start")


def pictures(records: str) -> dict[str, np.ndarray]:
    """What the peer learns from and looks at: SPLIT/NUMBER/image, /boxes (x first) and /labels, in our order."""
    found = {}
    for name in ("train", "val"):
        split, number = Split.open(records, name), 0
        for row in range(len(split)):
            truth = split.truth(row)
            learned = ~truth.crowd & np.all(truth.boxes[:, 2:] > truth.boxes[:, :2], axis=1)
            if name == "train" and not learned.any():  # Neither side learns from pictures without objects.
                continue
            found[f"{name}/{number}/image"] = image.decode(truth.encoded).numpy()
            found[f"{name}/{number}/boxes"] = np.float32(truth.boxes[learned][:, [1, 0, 3, 2]])
            found[f"{name}/{number}/labels"] = np.int64(truth.labels[learned])
            number += 1
    return found
