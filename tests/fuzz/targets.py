"""The readers of files of others, by name, and the independent readings that they are compared with."""

from pipelines import adopt, check, coco, digits, extract, imagenet, objects, proposals, segmentation, voc
from tests.fuzz import counted, inputs, model_targets, object_readings, readings
from tests.fuzz.attempts import Target
from tests.pipelines import drawn_scenes, mask_scenes
from tfrecog.cli import flags
from tfrecog.config import Experiment

SPLIT = {"split": "train", "jobs": 1, "max_left_out": 1.0}
KINDS = inputs.KINDS


def _read_coco(folder, out):
    path = folder / "coco.json"
    coco.main(coco.Coco(images=str(folder / "images"), annotations=str(path), out=str(out), **SPLIT))


def _compare_coco(folder, out):
    known = counted.nothing_lost(counted.coco)(folder, out)
    object_readings.masks_of_pycocotools(folder / "coco.json", out)
    return known


def _read_coco_files(folder, out):
    files = ",".join(str(folder / name) for name in ("coco.json", "whole.json"))
    coco.main(coco.Coco(images=str(folder / "images"), annotations=files, out=str(out), **SPLIT))


def _compare_coco_files(folder, out):
    return counted.nothing_lost(counted.coco_files)(folder, out) and object_readings.of_both_files(folder, out)


def _read_voc(folder, out):
    given = {"images": str(folder / "voc/JPEGImages"), "annotations": str(folder / "voc/Annotations")}
    voc.main(voc.Voc(out=str(out), **given, **SPLIT))


def _drawn(form, writer, kinds, annotations, damage, reading, images="", **more):
    """The target of a format of `pipelines.objects`; `reading` counts its objects."""

    def write(folder, rng):
        kind = rng.choice(kinds)
        made = drawn_scenes.scenes(kind)
        drawn_scenes.write_images(folder / "images", made)
        writer(folder, made, *[True][: kind == "pose"])

    def read(folder, out):
        given = {"annotations": str(folder / annotations), "images": images and str(folder / images)}
        objects.main(objects.Objects(format=form, out=str(out), **given, **more, **SPLIT))

    return Target(write, damage, read, compare=counted.nothing_lost(reading))


def _masks(form, writer, damage, places, reading, **more):
    """The target of a format of PNGs of objects; `places` are flags of paths in the folder, `reading` counts."""

    def read(folder, out):
        given = {flag: str(folder / place) for flag, place in places.items()}
        objects.main(objects.Objects(format=form, out=str(out), **given, **more, **SPLIT))

    return Target(
        lambda folder, rng: writer(folder, mask_scenes.records()), damage, read, compare=counted.nothing_lost(reading)
    )


def _read_idx(folder, out):
    given = {name: str(next(folder.glob(f"{name}.idx*"))) for name in ("images", "labels")}
    digits.main(digits.Digits(out=str(out), **given, **SPLIT))


def _read_maps(folder, out):
    given = {"images": str(folder / "images"), "labels": str(folder / "labels"), "classes": str(folder / "classes.txt")}
    segmentation.main(segmentation.Segmentation(out=str(out), **given, **SPLIT))


def _adopt(folder, out):
    given = {"records": str(folder / "*.tfrecord"), "label_map": str(folder / "map.pbtxt")}
    adopt.main(adopt.Adopt(out=str(out), split="train", jobs=1, **given))


def _read_panoptic(folder, out):
    given = {"preset": "coco_panoptic", "root": str(folder)}
    segmentation.main(segmentation.Segmentation(out=str(out), **given, **SPLIT))


def _read_extracted(folder, out):
    """The files of `extract`, by the pipeline that it names for them."""
    given = {"out": str(out), **SPLIT}
    if (folder / "instances.json").is_file():
        coco.main(coco.Coco(images=str(folder), annotations=str(folder / "instances.json"), **given))
    elif (folder / "data.yaml").is_file():
        objects.main(objects.Objects(format="yolo", annotations=str(folder / "data.yaml"), **given))
    else:
        objects.main(objects.Objects(format="labelme", annotations=str(folder), **given))


def _read_proposals(folder, out):
    given = {"data": str(folder), "split": "train", "method": "file", "file": str(folder / "proposals.npz")}
    proposals.main(proposals.Proposals(out=str(out), jobs=1, **given))


def _read_flags(folder, out):
    """A build with the values of its flags that are no names of files."""
    rename, shares, group = readings.values_of_flags(folder)
    lists = {"rename": rename, "shares": shares}
    given = {"images": str(folder / "images"), "annotations": str(folder / "coco.json"), **lists, "group": group}
    coco.main(coco.Coco(out=str(out), **given, **SPLIT))


TARGETS = {
    "coco": Target(inputs.coco, ("coco.json",), _read_coco, compare=_compare_coco),
    "coco_files": Target(inputs.coco_files, ("coco.json",), _read_coco_files, compare=_compare_coco_files),
    "group_column": Target(
        inputs.groups, ("groups.csv",), lambda folder, out: readings.groups_of_column(folder), compare=readings.groups
    ),
    "voc": Target(inputs.voc, ("voc/Annotations/*.xml",), _read_voc, compare=counted.nothing_lost(counted.voc)),
    "yolo": _drawn("yolo", drawn_scenes.write_yolo, KINDS, "data.yaml", ("data.yaml", "labels/**/*.txt"), counted.yolo),
    "labelme": _drawn("labelme", drawn_scenes.write_labelme, KINDS, "images", ("images/**/*.json",), counted.labelme),
    "cvat": _drawn("cvat", drawn_scenes.write_cvat, KINDS, "annotations.xml", ("*.xml",), counted.cvat, "images"),
    "cvat_video": _drawn(
        "cvat", inputs.cvat_video, ("boxes",), "annotations.xml", ("*.xml",), counted.cvat_video, "images"
    ),
    "via": _drawn("via", drawn_scenes.write_via, KINDS[:2], "via.json", ("*.json",), counted.via, "images"),
    "via3": _drawn("via", drawn_scenes.write_via3, KINDS[:2], "via3.json", ("*.json",), counted.via3, "images"),
    "via_csv": _drawn(
        "via",
        drawn_scenes.write_via_csv,
        KINDS[:2],
        "via.csv",
        ("*.csv",),
        counted.rows("via.csv", "filename", "region_shape_attributes"),
        "images",
    ),
    "label_studio": _drawn(
        "label_studio",
        drawn_scenes.write_label_studio,
        KINDS,
        "project.json",
        ("*.json",),
        counted.label_studio,
        "images",
    ),
    "json_min": _drawn(
        "label_studio",
        drawn_scenes.write_json_min,
        KINDS[:2],
        "project.json",
        ("*.json",),
        counted.json_min,
        "images",
    ),
    "brushes": _masks(
        "label_studio",
        mask_scenes.write_brushes,
        ("*.json",),
        {"images": "images", "annotations": "project.json"},
        counted.label_studio,
    ),
    "csv": _drawn(
        "csv",
        drawn_scenes.write_csv,
        ("boxes",),
        "boxes.csv",
        ("*.csv",),
        counted.rows("boxes.csv", "filename", "xmin"),
        "images",
    ),
    "openimages": _drawn(
        "csv",
        drawn_scenes.write_openimages,
        ("boxes",),
        "openimages.csv",
        ("*.csv",),
        counted.rows("openimages.csv", "ImageID", "XMin"),
        "images",
        negatives=True,
    ),
    "instance_maps": _masks(
        "instance_maps",
        mask_scenes.write_instance_maps,
        ("PedMasks/*.png",),
        {"images": "PNGImages", "annotations": "PedMasks"},
        counted.instance_maps,
        class_name="cat",
    ),
    "cityscapes": _masks(
        "cityscapes",
        mask_scenes.write_cityscapes,
        ("gtFine/**/*_instanceIds.png", "classes.txt"),
        {"images": "leftImg8bit", "annotations": "gtFine", "classes": "classes.txt"},
        counted.cityscapes,
    ),
    "masks": _masks(
        "masks", mask_scenes.write_bowl, ("*/*/*.png",), {"annotations": ""}, counted.masks, class_name="cat"
    ),
    "extracted": Target(
        inputs.extracted,
        ("*.json", "data.yaml", "labels/*.txt"),
        _read_extracted,
        compare=counted.nothing_lost(counted.extracted),
    ),
    "flags": Target(inputs.values_of_flags, ("values.txt",), _read_flags, compare=readings.flags),
    "idx": Target(inputs.arrays, ("*.idx*",), _read_idx, compare=readings.idx),
    "npz": Target(
        inputs.arrays,
        ("digits.npz",),
        lambda folder, out: digits.main(digits.Digits(npz=str(folder / "digits.npz"), out=str(out), **SPLIT)),
        compare=readings.npz,
    ),
    "tar": Target(
        inputs.tar,
        ("images.tar",),
        lambda folder, out: imagenet.main(imagenet.Imagenet(images=str(folder / "images.tar"), out=str(out), **SPLIT)),
        compare=readings.tar,
    ),
    "label_maps": Target(
        inputs.label_maps, ("images/*", "labels/*", "classes.txt"), _read_maps, compare=readings.label_maps
    ),
    "panoptic": Target(inputs.panoptic, ("panoptic.json", "panoptic/*.png"), _read_panoptic, compare=readings.panoptic),
    "adopt": Target(inputs.dataset, ("*.tfrecord", "map.pbtxt"), _adopt, compare=object_readings.adopted),
    "check": Target(
        inputs.dataset,
        ("*.tfrecord", "dataset.json"),
        lambda folder, out: check.main(check.Check(data=str(folder), jobs=1)),
        "*.check.jsonl",
        compare=object_readings.checked,
    ),
    "extract": Target(
        inputs.dataset,
        ("*.tfrecord", "dataset.json", "*.index.npz"),
        lambda folder, out: extract.main(extract.Extract(data=str(folder), split="train", out=str(out))),
        "*.index.npz",
        compare=object_readings.extracted,
    ),
    "proposals": Target(inputs.proposals, ("proposals.npz",), _read_proposals),
    "flagfile": Target(
        inputs.flagfile,
        ("experiment.flags",),
        lambda folder, out: flags.load(Experiment(), folder / "experiment.flags"),
    ),
    **model_targets.TARGETS,
}
