"""Time and money of a training by arithmetic, before it is paid for: on one device, and on several.

  python -m benchmarks.cost --flagfile=configs/imagenet/resnet50_1hour.flags --dataset=imagenet --devices=1,8,256 \\
      --images_per_second=412 --network=50 --input_per_core=300

What the recipe asks for is counted: its model is built, on the CPU. What the machines do is given. The model is

  step      computing + exchanging; nothing overlaps, as TensorFlow exchanges all gradients at once
  computing images of a device / its images/s
  exchanging  2 (n - 1) / n x bytes of the gradient / bandwidth of the slowest link: a ring of n devices
  evaluation  the network on every image, a third of a training step (no backward pass), shared by the devices;
            then what the chief alone does with each image
  checkpoint  its bytes / what the disk writes; all wait for it

and the input keeps up if there are as many cores as are printed. docs/machines.md says where it errs.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from tfrecog.cli import command
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Length, NonNegative, Positive
from tfrecog.config import Experiment, plain

# Images to train on and to evaluate on: train2017 with an object and val2017; ILSVRC 2012.
IMAGES = {"coco": (117_266, 5_000), "imagenet": (1_281_167, 50_000)}


@dataclass(frozen=True)
class Flags(Experiment):
    """The recipe, and the machines."""

    dataset: Annotated[
        Literal["coco", "imagenet"], "Classes and numbers of images. With --data.records, those of the records."
    ] = "coco"
    devices: Annotated[tuple[int, ...], "Devices that train together, a column each.", Positive(), Length()] = (1, 8)
    devices_per_machine: Annotated[int, "Devices of a machine.", Positive("devices")] = 8
    images_per_second: Annotated[
        float, "What one device trains alone, with no input to wait for.", NonNegative("images/s")
    ] = 0.0
    input_per_core: Annotated[
        float, "What a core makes of records: `python -m benchmarks.input_rate`. 0: not known.", NonNegative("images/s")
    ] = 0.0
    network: Annotated[
        float, "Of a machine to the others, each way: `python -m benchmarks.all_reduce`.", Positive("Gbit/s")
    ] = 50.0
    link: Annotated[float, "Between the devices of a machine, each way.", Positive("Gbit/s")] = 400.0
    chief: Annotated[
        float, "What the chief alone takes for an image of an evaluation.", NonNegative("seconds")
    ] = 0.0  # fmt: skip
    disk: Annotated[float, "What the disk of the run's folder writes.", Positive("MB/s")] = 200.0
    price: Annotated[float, "Price of a device for an hour, with its share of the machine.", NonNegative()] = 0.0


@dataclass(frozen=True)
class Training:
    """What a recipe asks for."""

    parameters: int  # that learn
    gradient: int  # bytes
    checkpoint: int  # bytes
    batch: int
    steps: int
    checkpoints: int
    evaluations: int
    evaluated: int  # images of an evaluation


def training(experiment: Experiment, published: str) -> Training:
    """Builds a recipe's model and counts, for its records or else for a `published` data set."""
    from tfrecog import tasks
    from tfrecog.data import info
    from tfrecog.data.classes import coco, imagenet
    from tfrecog.runs import checkpoints
    from tfrecog.training import schedules
    from tfrecog.training.step import TrainState

    data, classes = experiment.data, {"coco": lambda: coco.instances(coco.IN_A_ROW), "imagenet": imagenet.classes}
    dataset = info.load(data.records) if data.records else classes[published]()
    task = tasks.build(experiment, dataset)
    if data.records:
        per_epoch, evaluated = task.data().steps_per_epoch, dataset.splits[data.eval_split].images
    else:
        images, evaluated = IMAGES[published]
        per_epoch = math.ceil(images / data.batch_size)
    model = task.build()
    state = TrainState(model, experiment.optim, experiment.train)
    total = schedules.total_steps(experiment.schedule, per_epoch)
    every = experiment.train.evaluate_epochs
    evaluations = {step for step in range(1, total + 1) if schedules.due(step, every, per_epoch)}
    evaluations |= {total} if every > 0 else set()
    saved = {step for step in range(1, total) if schedules.due(step, experiment.train.checkpoint_epochs, per_epoch)}
    weights = [variable.value for variable in model.trainable_variables]
    return Training(
        parameters=sum(math.prod(weight.shape) for weight in weights),
        gradient=sum(math.prod(weight.shape) * weight.dtype.size for weight in weights),
        checkpoint=checkpoints.size_of(model, state),
        batch=data.batch_size,
        steps=total,
        checkpoints=len(saved | evaluations | {total}),
        evaluations=len(evaluations),
        evaluated=evaluated,
    )


def cost(asked: Training, flags: Flags, count: int) -> dict[str, float]:
    """What a training takes on so many devices, by the words of the table.

    Raises UserError if the batch cannot be divided among them.
    """
    if asked.batch % count:
        raise UserError(
            f"--data.batch_size={asked.batch} does not divide among --devices={count}: give a batch that does, as the "
            "training needs one"
        )
    share = asked.batch / count
    computing = share / flags.images_per_second
    sent = 2 * (count - 1) / count * asked.gradient
    bandwidth = 1e9 / 8 * (flags.link if count <= flags.devices_per_machine else flags.network)
    exchanging = sent / bandwidth
    step = computing + exchanging
    evaluation = asked.evaluated * (1 / (3 * flags.images_per_second * count) + flags.chief)
    hours = {
        "training, h": asked.steps * step / 3600,
        "evaluations, h": asked.evaluations * evaluation / 3600,
        "checkpoints, h": asked.checkpoints * asked.checkpoint / (flags.disk * 1e6) / 3600,
    }
    total = sum(hours.values())
    return {
        "images per device and step": share,
        "computing, ms a step": computing * 1e3,
        "sent by each device, MB a step": sent / 1e6,
        "exchanging, ms a step": exchanging * 1e3,
        "efficiency (computing / step), %": 100 * computing / step,
        "Gbit/s for an efficiency of 90 %": 8e-9 * sent / (computing / 9),
        "images/s of all devices": asked.batch / step,
        **({"CPU cores per device for the input": share / step / flags.input_per_core} if flags.input_per_core else {}),
        **hours,
        "total, h": total,
        "device-hours": total * count,
        **({"price": total * count * flags.price} if flags.price else {}),
    }


def table(asked: Training, flags: Flags) -> str:
    """A column for each number of devices, in Markdown."""
    columns = [cost(asked, flags, count) for count in flags.devices]
    rows = [["", *(f"{count} device{'s' * (count > 1)}" for count in flags.devices)], ["---"] * (1 + len(columns))]
    rows += [[name, *(shown(column[name]) for column in columns)] for name in columns[0]]
    return "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows)


def shown(number: float) -> str:
    """A whole number, or one with three digits."""
    rounded = float(f"{number:.3g}")
    if number == round(number) or rounded >= 100:
        return f"{number:,.0f}"
    return f"{rounded:,.{2 - math.floor(math.log10(rounded))}f}"


def heading(asked: Training) -> str:
    """What the recipe asks for, for people."""
    return (
        f"{asked.parameters:,} parameters learn: a gradient of {asked.gradient / 1e6:.1f} MB.\n"
        f"{asked.steps:,} steps of {asked.batch:,} images; {asked.evaluations} evaluations of {asked.evaluated:,} "
        f"images; {asked.checkpoints} checkpoints of {asked.checkpoint / 1e6:.1f} MB.\n"
    )


def main(flags: Flags) -> None:
    """Prints the recipe's numbers, and the table."""
    asked = training(plain(flags), flags.dataset)
    print(heading(asked))
    print(table(asked, flags))


if __name__ == "__main__":
    command.run(main, Flags(), required=("images_per_second",))
