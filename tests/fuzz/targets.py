"""The readers of files of others, by name."""

import importlib.util
import json

from export.artifact import metadata
from export.litert import results
from export.served_graph import operations
from pipelines import adopt, check, coco, digits, extract, imagenet, objects, segmentation, voc
from tests.fuzz import inputs
from tests.fuzz.attempts import Target
from tests.pipelines import drawn_scenes, mask_pngs
from tfrecog.cli import flags
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import info
from tfrecog.weights.formats import read as weights

SPLIT = {"split": "train", "jobs": 1, "max_left_out": 1.0}
KINDS = inputs.KINDS


def _read_coco(folder, out):
    path = folder / "coco.json"
    coco.main(coco.Coco(images=str(folder / "images"), annotations=str(path), out=str(out), **SPLIT))
    made, report = info.load(out).splits["train"], (out / "train.report.jsonl").read_text()
    try:
        stated = len(json.loads(path.read_bytes())["annotations"])
    except (ValueError, KeyError, TypeError):  # which our reader takes, and reports
        return
    kept = made.instances + made.crowd
    assert kept >= stated or report, f"{kept} of {stated} annotations are kept, and no problem is reported"


def _read_voc(folder, out):
    given = {"images": str(folder / "voc/JPEGImages"), "annotations": str(folder / "voc/Annotations")}
    voc.main(voc.Voc(out=str(out), **given, **SPLIT))


def _drawn(form, writer, kinds, annotations, damage, images="", **more):
    """The target of a format of `pipelines.objects`."""

    def write(folder, rng):
        kind = rng.choice(kinds)
        made = drawn_scenes.scenes(kind)
        drawn_scenes.write_images(folder / "images", made)
        writer(folder, made, *[True][: kind == "pose"])

    def read(folder, out):
        given = {"annotations": str(folder / annotations), "images": images and str(folder / images)}
        objects.main(objects.Objects(format=form, out=str(out), **given, **more, **SPLIT))

    return Target(write, damage, read)


def _masks(form, writer, damage, places, **more):
    """The target of a format of PNGs of objects; `places` are flags of paths in the folder."""

    def read(folder, out):
        given = {flag: str(folder / place) for flag, place in places.items()}
        objects.main(objects.Objects(format=form, out=str(out), **given, **more, **SPLIT))

    return Target(lambda folder, rng: writer(folder, mask_pngs.records()), damage, read)


def _read_idx(folder, out):
    given = {name: str(next(folder.glob(f"{name}.idx*"))) for name in ("images", "labels")}
    digits.main(digits.Digits(out=str(out), **given, **SPLIT))


def _read_maps(folder, out):
    given = {"images": str(folder / "images"), "labels": str(folder / "labels"), "classes": str(folder / "classes.txt")}
    segmentation.main(segmentation.Segmentation(out=str(out), **given, **SPLIT))


def _adopt(folder, out):
    given = {"records": str(folder / "*.tfrecord"), "label_map": str(folder / "map.pbtxt")}
    adopt.main(adopt.Adopt(out=str(out), split="train", jobs=1, **given))


def _read_metadata(folder, out):
    path = folder / "tfrecog.json"
    parsed = metadata.parse(path.read_bytes(), str(path))
    results.info_of(parsed)
    metadata.experiment_of(parsed)


def _read_request(folder, out):
    from export.server import requests
    from export.server.errors import Refused

    body, limits = (folder / "body.json").read_bytes(), requests.Limits(max_megapixels=0.01, max_pictures=3)
    sentences = []
    for parse in (lambda: requests.of_v1(body, "application/json", limits), lambda: requests.of_v2(body, None, limits)):
        try:
            for picture in parse().pictures:
                picture.decode()
        except Refused as refused:
            assert 400 <= refused.status < 500 and len(refused.sentence) < 2000
            sentences.append(refused.sentence)
    if len(sentences) == 2:
        raise UserError(f"{folder / 'body.json'}: {' | '.join(sentences)}")


TARGETS = {
    "coco": Target(inputs.coco, ("coco.json",), _read_coco),
    "voc": Target(inputs.voc, ("voc/Annotations/*.xml",), _read_voc),
    "yolo": _drawn("yolo", drawn_scenes.write_yolo, KINDS, "data.yaml", ("data.yaml", "labels/**/*.txt")),
    "labelme": _drawn("labelme", drawn_scenes.write_labelme, KINDS, "images", ("images/**/*.json",)),
    "cvat": _drawn("cvat", drawn_scenes.write_cvat, KINDS, "annotations.xml", ("*.xml",), "images"),
    "cvat_video": _drawn("cvat", inputs.cvat_video, ("boxes",), "annotations.xml", ("*.xml",), "images"),
    "via": _drawn("via", drawn_scenes.write_via, KINDS[:2], "via.json", ("*.json",), "images"),
    "label_studio": _drawn(
        "label_studio", drawn_scenes.write_label_studio, KINDS, "project.json", ("*.json",), "images"
    ),
    "csv": _drawn("csv", drawn_scenes.write_csv, ("boxes",), "boxes.csv", ("*.csv",), "images"),
    "openimages": _drawn(
        "csv", drawn_scenes.write_openimages, ("boxes",), "openimages.csv", ("*.csv",), "images", negatives=True
    ),
    "instance_maps": _masks(
        "instance_maps",
        mask_pngs.write_instance_maps,
        ("PedMasks/*.png",),
        {"images": "PNGImages", "annotations": "PedMasks"},
        class_name="cat",
    ),
    "cityscapes": _masks(
        "cityscapes",
        mask_pngs.write_cityscapes,
        ("gtFine/**/*_instanceIds.png", "classes.txt"),
        {"images": "leftImg8bit", "annotations": "gtFine", "classes": "classes.txt"},
    ),
    "masks": _masks("masks", mask_pngs.write_bowl, ("*/*/*.png",), {"annotations": ""}, class_name="cat"),
    "idx": Target(inputs.arrays, ("*.idx*",), _read_idx),
    "npz": Target(
        inputs.arrays,
        ("digits.npz",),
        lambda folder, out: digits.main(digits.Digits(npz=str(folder / "digits.npz"), out=str(out), **SPLIT)),
    ),
    "tar": Target(
        inputs.tar,
        ("images.tar",),
        lambda folder, out: imagenet.main(imagenet.Imagenet(images=str(folder / "images.tar"), out=str(out), **SPLIT)),
    ),
    "label_maps": Target(inputs.label_maps, ("images/*", "labels/*", "classes.txt"), _read_maps),
    "adopt": Target(inputs.dataset, ("*.tfrecord", "map.pbtxt"), _adopt),
    "check": Target(
        inputs.dataset,
        ("*.tfrecord", "dataset.json"),
        lambda folder, out: check.main(check.Check(data=str(folder), jobs=1)),
        "*.check.jsonl",
    ),
    "extract": Target(
        inputs.dataset,
        ("*.tfrecord", "dataset.json", "*.index.npz"),
        lambda folder, out: extract.main(extract.Extract(data=str(folder), split="train", out=str(out))),
        "*.index.npz",
    ),
    "weights": Target(inputs.weights, ("weights.*",), lambda folder, out: weights.read(next(folder.glob("weights.*")))),
    "flagfile": Target(
        inputs.flagfile,
        ("experiment.flags",),
        lambda folder, out: flags.load(Experiment(), folder / "experiment.flags"),
    ),
    "metadata": Target(inputs.metadata, ("tfrecog.json",), _read_metadata),
    "saved_model": Target(inputs.saved_model, ("saved_model.pb",), lambda folder, out: operations.check(folder)),
}
if importlib.util.find_spec("orjson"):  # It comes with tfrecog[serving].
    TARGETS["request"] = Target(inputs.request, ("body.json",), _read_request)
