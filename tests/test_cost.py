"""Time and money of a training by arithmetic: the model, what of a recipe is counted, and the tables of the page."""

import dataclasses
import functools
import shlex

import numpy as np
import pytest

from benchmarks import all_reduce, cost, rates
from pipelines import digits
from tests import halves
from tests.folders import REPOSITORY
from tests.test_docs import blocks
from tfrecog import tasks
from tfrecog.cli import command, flags
from tfrecog.cli.errors import UserError
from tfrecog.config import plain
from tfrecog.data import info
from tfrecog.runs import checkpoints
from tfrecog.training.step import TrainState

ASKED = cost.Training(
    parameters=25_000_000, gradient=100_000_000, checkpoint=200_000_000, batch=256, steps=3600, checkpoints=10,
    evaluations=2, evaluated=4800,
)  # fmt: skip
# 100 images/s, and a gigabyte a second between devices.
MACHINES = cost.Flags(images_per_second=100.0, link=8.0, network=4.0, chief=0.01, disk=100.0, price=3.0)


training = functools.cache(cost.training)  # A model is built once for all commands of its recipe.


def counted(arguments):
    """What a command line asks for, and its flags."""
    given = command.parse(cost.Flags(), list(arguments))
    return training(plain(given), given.dataset), given


def test_a_training_takes_what_its_parts_take():
    column = cost.cost(ASKED, MACHINES, 8)
    # 32 images at 100/s; 2 · 7/8 · 100 MB at 1 GB/s; 3600 such steps.
    assert column["computing, ms a step"] == pytest.approx(320)
    assert column["exchanging, ms a step"] == pytest.approx(175)
    assert column["training, h"] == pytest.approx(0.495)
    assert column["efficiency (computing / step), %"] == pytest.approx(100 * 320 / 495)
    # 4,800 images at 8 · 300/s and then 0.01 s each, twice; ten times two seconds.
    assert column["evaluations, h"] == pytest.approx(2 * (2 + 48) / 3600)
    assert column["checkpoints, h"] == pytest.approx(20 / 3600)
    assert column["total, h"] == pytest.approx(0.495 + 120 / 3600)
    assert column["price"] == pytest.approx(3 * 8 * column["total, h"])


def test_one_device_exchanges_nothing_and_several_machines_are_joined_by_their_network():
    assert cost.cost(ASKED, MACHINES, 1)["exchanging, ms a step"] == 0
    assert cost.cost(ASKED, MACHINES, 16)["exchanging, ms a step"] == pytest.approx(1e3 * 2 * 15 / 16 * 0.1 / 0.5)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_ring_sends_the_bytes_of_the_model(count):
    # Reduce-scatter and all-gather (Patarasuk and Yuan 2009), part by part: what each device sends to its neighbour.
    size = 24 * count
    data, sent = np.random.default_rng(0).integers(0, 9, [count, count, size // count]), 0
    wanted = data.sum(axis=0)
    for step in range(2 * (count - 1)):
        parts = [(device - step) % count for device in range(count)]
        moved = [data[device, part].copy() for device, part in enumerate(parts)]
        for device, (part, values) in enumerate(zip(parts, moved, strict=True)):
            neighbour = (device + 1) % count
            data[neighbour, part] = values + (data[neighbour, part] if step < count - 1 else 0)
        sent += moved[0].size
    assert (data == wanted).all()
    column = cost.cost(dataclasses.replace(ASKED, batch=count, gradient=size), MACHINES, count)
    assert column["sent by each device, MB a step"] * 1e6 == pytest.approx(sent)


def test_the_network_for_90_percent_gives_90_percent():
    wanted = cost.cost(ASKED, MACHINES, 64)["Gbit/s for an efficiency of 90 %"]
    column = cost.cost(ASKED, dataclasses.replace(MACHINES, network=wanted), 64)
    assert column["efficiency (computing / step), %"] == pytest.approx(90)


def test_the_paper_comes_to_the_same_bandwidth():
    # Goyal et al. 2017, 4.3: 100 MB in the 125 ms of a backward pass are 12.8 Gbit/s, for a large number of machines.
    column = cost.cost(dataclasses.replace(ASKED, batch=2**20), dataclasses.replace(MACHINES, network=12.8), 2**20)
    assert column["exchanging, ms a step"] == pytest.approx(125, rel=1e-5)


def test_cores_are_those_that_keep_up_with_a_device():
    column = cost.cost(ASKED, dataclasses.replace(MACHINES, input_per_core=25.0), 8)
    assert column["CPU cores per device for the input"] == pytest.approx(32 / 0.495 / 25)


def test_a_batch_that_cannot_be_divided_is_refused():
    with pytest.raises(UserError, match=r"--data\.batch_size=256 does not divide among --devices=3"):
        cost.cost(ASKED, MACHINES, 3)


def test_a_recipe_is_counted():
    asked, _ = counted(
        ("--flagfile=configs/imagenet/resnet50_1hour.flags", "--dataset=imagenet", "--images_per_second=1")
    )
    assert asked.parameters == 25_557_032 and asked.gradient == 4 * asked.parameters  # torchvision's ResNet-50
    assert asked.steps == 90 * 157 and asked.batch == 8192  # 1,281,167 / 8192, rounded up
    assert asked.evaluations == asked.checkpoints == 90
    # Weights, momenta, and mean and variance of 26,560 channels under batch norm.
    assert asked.checkpoint == 4 * (2 * 25_557_032 + 2 * 26_560)


def test_a_checkpoint_has_the_size_that_is_counted(tmp_path):
    options = digits.Digits(out=str(tmp_path / "records"), split="train", jobs=1)
    digits.build(*halves.halves(16, 0), options, halves.HALVES)
    given = flags.change(
        cost.Flags(),
        [f"--flagfile={REPOSITORY}/configs/smoke/classifier_digits.flags", f"--data.records={tmp_path / 'records'}",
         "--data.eval_split=train", "--optim.ema=0.999", "--images_per_second=1"],
    )  # fmt: skip
    asked, experiment = training(plain(given), ""), plain(given)
    task = tasks.build(experiment, info.load(experiment.data.records))
    model = task.build()
    state = TrainState(model, experiment.optim, experiment.train)
    path = checkpoints.save(tmp_path, 0, model, state, keep=1)
    written = next(path.glob("*.data-*")).stat().st_size
    assert asked.checkpoint <= written < 1.05 * asked.checkpoint
    assert asked.checkpoint >= 3 * asked.gradient  # weights, momenta and averages
    assert asked.steps == round(experiment.schedule.epochs * task.data().steps_per_epoch)


def _commands():
    """Arguments of each command of the page that prints a table."""
    for text, _ in blocks("docs/machines.md", "sh"):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line)
            if "benchmarks.cost" in words:
                yield tuple(words[words.index("benchmarks.cost") + 1 :])


COMMANDS = list(_commands())


def test_the_page_has_tables():
    assert len(COMMANDS) == 4


@pytest.mark.parametrize("arguments", COMMANDS, ids=shlex.join)
def test_a_table_of_the_page_is_what_its_command_prints(arguments, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    page = (REPOSITORY / "docs/machines.md").read_text()
    asked, given = counted(arguments)
    for part in (cost.table(asked, given), *cost.heading(asked).splitlines()):
        assert part in page


# Bytes of the gradient, images/s of one device, how many, images on each, and what was published of all.
PUBLISHED = {
    "8 V100, 128 images": (4 * 25_557_032, 412, 8, 128, 3170),
    "16 V100": (4 * 25_557_032, 432, 16, 128, 6500),
    "TensorFloat-32, 8 A100": (4 * 25_557_032, 909, 8, 256, 7000),
    "mixed precision, 8 A100": (4 * 25_557_032, 2375, 8, 256, 17400),
    "Mask R-CNN": (4 * 44_120_816, 4.5, 8, 2, 38.3),
    "Faster R-CNN": (4 * 41_477_536, 1 / (3 * 0.038), 8, 2, 16 / 0.210),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_model_comes_near_what_was_published(name):
    gradient, one, count, share, published = PUBLISHED[name]
    asked = dataclasses.replace(ASKED, gradient=gradient, batch=share * count)
    machines = dataclasses.replace(cost.Flags(), images_per_second=one, devices_per_machine=16)
    model = cost.cost(asked, machines, count)["images/s of all devices"]
    assert 0.89 < model / published < 1.06
    percent = f"{100 * (model / published - 1):+.0f}".replace("-", "−")
    rows = (REPOSITORY / "docs/machines.md").read_text().splitlines()
    (row,) = [row for row in rows if row.startswith("|") and name in row]
    assert row.endswith(f"| {cost.shown(model)} ({percent} %) |")


def test_rates_are_printed_of_a_recipe_and_its_records(tmp_path, capsys):
    options = digits.Digits(out=str(tmp_path), split="train", jobs=1)
    digits.build(*halves.halves(16, 0), options, halves.HALVES)
    given = flags.change(
        rates.Flags(),
        [f"--flagfile={REPOSITORY}/configs/smoke/classifier_digits.flags", f"--data.records={tmp_path}",
         "--data.eval_split=train", "--images=64", "--runs=1", "--evaluated=16"],
    )  # fmt: skip
    rates.main(given)
    of_input, of_chief = capsys.readouterr().out.splitlines()
    assert float(of_input.split(": ")[1].split(" images/s")[0]) > 0
    assert 0 < float(of_chief.split(": ")[1].split(" CPU ms")[0]) < 1000


def test_the_line_of_an_all_reduce_has_the_bandwidth_of_each():
    # Two devices send 100 MB each way in 0.1 s, the median.
    line = all_reduce.line("100 MB", 100_000_000, 2, [0.09, 0.1, 0.5])
    assert line == "2 devices, 100 MB: 100.00 ms (90.00 to 500.00), 8.00 Gbit/s from each"


def test_one_device_has_nothing_to_exchange():
    with pytest.raises(UserError, match="start two workers"):
        all_reduce.main(all_reduce.Flags())
