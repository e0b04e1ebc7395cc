"""The head of a page, as of a model card (Mitchell et al. 2019): what the model is, and where its numbers are from."""

import datetime
import json
from pathlib import Path

import numpy as np

import tfrecog
from tfrecog.cli import facts as facts_of
from tfrecog.cli import flagfiles, flags, urls, validate
from tfrecog.cli.spelling import counted
from tfrecog.config import DataConfig, Experiment, plain
from tfrecog.data import info
from tfrecog.data.split import Split
from tfrecog.reports.blocks import Facts, Listing, Number, Section, Table, Words
from tfrecog.runtime import environment

FEW = 10  # Numbers of a class with fewer objects or images say little.
_NAMED = 12  # classes


def task_words(experiment: Experiment) -> str:
    """The task as the field calls it."""
    if experiment.task != "detection":
        named = {"classification": "image classification", "segmentation": "semantic segmentation"}
        return named.get(experiment.task, experiment.task)
    found = ["instance segmentation"] * experiment.detector.masks
    found += ["keypoint detection"] * _has_keypoints(experiment)
    return " and ".join(found) or "object detection"


def head(name: str, model, experiment: Experiment, split: Split, report: dict) -> Facts:
    """What the model is, what it has learned from and what it was measured on.

    Args:
        name: of the network, for people.
        report: what metrics.json has.
    """
    seconds = report.get("test_seconds_per_image")
    facts = {
        "Task": task_words(experiment),
        "Network": ", ".join(filter(None, [name or "unknown", _parameters(model)])),
        "Classes": f"{split.info.num_classes:,}: {_few(split.info.names)}",
        "Keypoints": _few(split.info.keypoints) if _has_keypoints(experiment) else "",
        "Measured on": f"{split.name} of {split.folder}: {counts(split.info, split.name)}",
        "Trained on": _trained_on(experiment),
        "Started from": _start(experiment),
        "Weights": f"step {report['step']:,}" if report.get("step") is not None else "not known",
        "Time per image": f"{seconds:.3g} s, the network alone" if seconds else "not measured: too few batches",
        "Date": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "Software": _software(),
        "Licence": "Not stated. Whoever passes the model on fills it in, with those of the data and of the weights it "
        "started from.",
    }
    return Facts({key: value for key, value in facts.items() if value})


def use(experiment: Experiment, split: Split, table: list[dict]) -> Section:
    """What the numbers allow to say of the model's use, and where they end; `table` has a row for each class."""
    columns = table[0] if table else {}
    count = next((name for name in ("instances", "objects", "images", "pixels") if name in columns), "images")
    height, width = np.median(split.sizes, axis=0)
    limits = [
        f"Measured on {counted(len(split), 'image')} of {split.name}, of {height:.0f} x {width:.0f} pixels in the "
        "median. Nothing is known of other cameras, places and times: measure it on pictures of your own before "
        "relying on it.",
    ]
    learned = run_data(experiment) or experiment.data
    if is_same(learned, learned.train_split, experiment.data):
        limits.append(
            f"It has learned from {split.name}, too: the numbers say what it remembers, and not how it does on images "
            "that are new to it."
        )
    least = 1 if count == "pixels" else FEW
    few = [f"{row['name']} ({row[count]:,})" for row in table if 0 < row.get(count, least) < least]
    if few:
        limits.append(f"Classes with fewer than {FEW} {count} here have uncertain numbers: {_few(few)}.")
    none = [row["name"] for row in table if row.get(count) == 0]
    if none:
        limits.append(f"Without any {count} here, and so not measured: {_few(none)}.")
    if experiment.task != "segmentation":
        limits.append("Scores are not calibrated: one of 0.9 does not mean that nine of ten are right.")
    intended = (
        f"Meant for {task_words(experiment)} in pictures like those below, of the classes {_few(split.info.names)}. It "
        "knows no others, and what looks like one of these gets its name."
    )
    return Section("use", "Use and limits", [Words(intended), *map(Words, limits)])


def data(split: Split) -> Section:
    """What the records hold."""
    there = split.info
    rows = [[name, *_row(one)] for name, one in there.splits.items()]
    held = {
        "boxes": any(one.instances for one in there.splits.values()), "masks": there.masks,
        "keypoints": bool(there.keypoints), "a class for each image": there.image_labels,
        "label maps": there.label_maps, "marks of difficult objects": there.difficult,
        f"proposals ({there.proposals})": bool(there.proposals),
    }  # fmt: skip
    text = f"{split.folder} has {', '.join(name for name, has in held.items() if has) or 'images alone'}."
    if len(split):
        (low, wide), (high, widest) = split.sizes.min(axis=0).tolist(), split.sizes.max(axis=0).tolist()
        sides = (f"{least} to {most}" if most > least else f"{least}" for least, most in ((low, high), (wide, widest)))
        text += f" Images of {split.name} are {' x '.join(sides)} pixels (height x width)."
    heads = ["split", "images", "objects", "crowd regions"]
    if not held["boxes"]:
        heads, rows = heads[:2], [row[:2] for row in rows]
    return Section("data", "Data", [Words(text), Table(heads, rows)])


def settings(experiment: Experiment) -> Section:
    """The flags of the run: those that are not at their defaults, and all that something reads."""
    experiment = plain(experiment)
    changed = flags.differences(Experiment(), experiment)
    read = {leaf.path for leaf in validate.read_leaves(experiment)}
    rows = [[f"--{path}", facts_of.shown(value)] for path, (_, value) in changed.items() if path in read]
    text = f"Not at their defaults: {counted(len(rows), 'setting')}." if rows else "All settings are at their defaults."
    return Section(
        "settings", "Settings", [Words(text), Table(["flag", "value"], rows, shown=12, more="more settings"),
        Listing("All settings, as a flagfile", validate.dumps(experiment))],
    )  # fmt: skip


def counts(dataset: info.DatasetInfo, name: str) -> str:
    """Images and objects of a split, in words."""
    one = dataset.splits.get(name)
    if one is None:
        return "not known"
    return counted(one.images, "image") + (f", {counted(one.instances, 'object')}" if one.instances else "")


def run_data(experiment: Experiment) -> DataConfig | None:
    """What the run's own flagfile says of its data; None where there is no such file."""
    path = Path(experiment.workdir) / flagfiles.OF_RUN
    return flags.load(Experiment(), path).data if experiment.workdir and path.is_file() else None


def is_same(other: DataConfig, split: str, measured: DataConfig) -> bool:
    """Whether a split of some records is the measured one, however their folder is written."""
    here, there = (urls.absolute(data.records) for data in (measured, other))
    return bool(other.records) and (there, split) == (here, measured.eval_split)


def _has_keypoints(experiment):
    return experiment.task == "detection" and experiment.detector.keypoints


def _row(split):
    return [Number(getattr(split, name), form="count") for name in ("images", "instances", "crowd")]


def _trained_on(experiment):
    noted = Path(experiment.workdir) / info.FILE
    if not experiment.workdir or not noted.is_file():
        return ""
    known, name = info.load(experiment.workdir), experiment.data.train_split
    return f"{name}: {counts(known, name)}" if name in known.splits else ""


def _start(experiment):
    noted = Path(experiment.workdir) / flagfiles.IMPORTED
    if experiment.workdir and noted.is_file():
        imported = json.loads(noted.read_text(encoding="utf-8"))
        return f"published weights: {imported['model']}, {imported.get('url') or imported['file']}"
    if experiment.train.start_from:
        return experiment.train.start_from
    section = {"detection": experiment.detector, "segmentation": experiment.segmenter}.get(experiment.task)
    weights = section.backbone.weights if section else ""
    return f"a backbone with the weights {weights}" if weights else ""


def _parameters(model):
    return counted(model.count_params(), "parameter") if hasattr(model, "count_params") else ""


def _software():
    found = environment.versions("tensorflow", "keras", "numpy")
    libraries = ", ".join(f"{name} {version}" for name, version in found.items())
    commit = environment.commit()
    return f"tfrecog {tfrecog.version()}{f' {commit}' if commit else ''}, {libraries}"


def _few(names):
    return ", ".join(names[:_NAMED]) + (f", … ({len(names):,} in all)" if len(names) > _NAMED else "")
