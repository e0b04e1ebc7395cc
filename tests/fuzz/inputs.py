"""Small inputs that are whole. Each function writes one to a folder, and `rng` decides which."""

import functools
import gzip
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines import extract, scenes
from tests.pipelines import drawn_scenes, small_voc
from tfrecog.cli import flags
from tfrecog.config import Experiment
from tfrecog.data import index

KINDS = ("boxes", "polygons", "pose")  # of scenes
GROUPED = [f"{number % 3}-{number}.png" for number in range(5)]  # the images of `groups`


def coco(folder, rng):
    kind = rng.choice(KINDS)
    made = drawn_scenes.scenes(kind, 2)
    drawn_scenes.write_images(folder / "images", made)
    path = drawn_scenes.write_coco(folder / "coco.json", made, kind == "pose")
    tree = json.loads(path.read_text())
    if kind == "polygons":  # Run lengths too, of a crowd; its image has 71 x 53 pixels.
        runs = {"size": [71, 53], "counts": [400, 10, 3353]}
        tree["annotations"][-1] |= {"iscrowd": 1, "segmentation": runs, "bbox": [5, 45, 1, 10]}
    path.write_text(json.dumps(tree))


def coco_files(folder, rng):
    """COCO JSON twice, of which the second is whole when the first is damaged.

    What a third of the objects has beside its box is in the first alone, and of another third in the second.
    """
    coco(folder, rng)
    text = (folder / "coco.json").read_text()
    for without, name in enumerate(("coco.json", "whole.json")):
        tree = json.loads(text)
        for one in tree["annotations"][without::3]:
            for key in ("segmentation", "keypoints")[: 2 * (not one["iscrowd"])]:
                one.pop(key, None)
        (folder / name).write_text(json.dumps(tree))


def groups(folder, rng):
    rows = ["image,patient,note", *(f'{name},p{name[0]},"of, {name}"' for name in GROUPED)]
    (folder / "groups.csv").write_text("\n".join(rows))


def voc(folder, rng):
    made = small_voc.SmallVoc(folder / "voc")
    made.objects["1"].append(small_voc.an_object("dog", more=f"<part>{small_voc.an_object()}</part>"))
    made.write()


def cvat_video(folder, made):
    """CVAT's XML for video: two keyframes, and the object leaves."""
    for number in range(4):
        Image.new("RGB", (60, 40)).save(folder / f"images/frame_{number:06d}.png")
    track = "".join(
        f'<box frame="{frame}" keyframe="1" outside="{frame // 3}" xtl="{x}" ytl="10" xbr="{x + 10}" ybr="20"/>'
        for frame, x in ((0, 10), (2, 22), (3, 22))
    )
    meta = "<meta><task><size>4</size><start_frame>0</start_frame></task></meta>"
    text = f'<annotations><version>1.1</version>{meta}<track id="0" label="cat">{track}</track></annotations>'
    (folder / "annotations.xml").write_text(text)


def arrays(folder, rng):
    """IDX files, compressed or not, and an NPZ file."""
    images, labels = np.arange(32, dtype=np.uint8).reshape(2, 4, 4), np.arange(2, dtype=np.uint8)
    np.savez(folder / "digits.npz", x=images, y=labels)
    compress, suffix = rng.choice(((bytes, ""), (functools.partial(gzip.compress, mtime=0), ".gz")))
    for name, array in (("images", images), ("labels", labels)):
        sides = b"".join(side.to_bytes(4, "big") for side in array.shape)
        (folder / f"{name}.idx{suffix}").write_bytes(compress(bytes([0, 0, 8, array.ndim]) + sides + array.tobytes()))


def tar(folder, rng):
    Image.new("RGB", (4, 3)).save(folder / "a.png")
    with tarfile.open(folder / "images.tar", "w") as archive:
        for name in ("a/1.png", "a/2.png", "b/3.png"):
            archive.add(folder / "a.png", name)
        link = tarfile.TarInfo("b/4.png")
        link.type, link.linkname = tarfile.LNKTYPE, "a/1.png"
        archive.addfile(link)


def label_maps(folder, rng):
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for name in ("1.png", "2.png"):
        Image.new("RGB", (6, 5)).save(folder / "images" / name)
        Image.fromarray(np.arange(30, dtype=np.uint8).reshape(5, 6) % 3).save(folder / "labels" / name)
    (folder / "classes.txt").write_text("0 ground 0 0 0\n1 cat 128 0 0\n2 dog 0 128 0\n")


def panoptic(folder, rng):
    """COCO's panoptic JSON of two images, with a thing, a stuff, and pixels of no segment."""
    for name in ("images", "panoptic"):
        (folder / name).mkdir()
    tree = {"images": [], "annotations": [], "categories": []}
    for number, name in enumerate(("a", "b"), 1):
        ids = np.resize([0, 5, 70_000, 5], (6, 7)) + (number - 1) * np.resize([0, 1], (6, 7))
        Image.new("RGB", (7, 6)).save(folder / f"images/{name}.png")
        rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
        Image.fromarray(rgb).save(folder / f"panoptic/{name}.png")
        segments = [{"id": int(one), "category_id": 18 if one < 9 else 200} for one in np.unique(ids) if one > 1]
        tree["images"].append({"id": number, "file_name": f"{name}.png", "height": 6, "width": 7})
        tree["annotations"].append({"image_id": number, "file_name": f"{name}.png", "segments_info": segments})
    tree["categories"] = [{"id": 18, "name": "dog", "color": [76, 91, 113]}, {"id": 200, "name": "rug"}]
    (folder / "panoptic.json").write_text(json.dumps(tree))


@functools.cache
def _scenes():
    """Contents of the files of a dataset, by name."""
    with tempfile.TemporaryDirectory() as folder:
        scenes.build(folder, "train", 3, scenes.Scenes(seed=1, height=32, width=32), jobs=1)
        index.load(folder, "train")
        return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


def dataset(folder, rng):
    for name, content in _scenes().items():
        (folder / name).write_bytes(content)
    names = [one["name"] for one in json.loads(_scenes()["dataset.json"])["categories"]]
    items = (f"item {{\n  id: {number}\n  name: '{name}'\n}}\n" for number, name in enumerate(names, 1))
    (folder / "map.pbtxt").write_text("".join(items))


@functools.cache
def _extracted(form):
    """Contents of the files that `pipelines.extract` writes of the dataset, by path."""
    with tempfile.TemporaryDirectory() as folder:
        dataset(Path(folder), None)
        extract.main(extract.Extract(data=folder, split="train", out=f"{folder}/out", format=form))
        paths = (path for path in Path(folder, "out").rglob("*") if path.is_file())
        return {str(path.relative_to(f"{folder}/out")): path.read_bytes() for path in paths}


def extracted(folder, rng):
    """Records written as annotations of COCO, YOLO or LabelMe, for correction."""
    for name, content in _extracted(rng.choice(("coco", "yolo", "labelme"))).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def proposals(folder, rng):
    """A dataset, and an NPZ file of proposals for its images."""
    dataset(folder, rng)
    boxes = np.float32([[1, 2, 20, 30], [-5, 10, 20, 40]] * 3)
    arrays = {"names": np.array(["1", "2", "3"]), "sizes": np.array([[32, 32]] * 3), "counts": np.full(3, 2)}
    np.savez(folder / "proposals.npz", **arrays, boxes=boxes, scores=np.float32([0.5, 0.75] * 3), source="grid")


def values_of_flags(folder, rng):
    """COCO JSON, and a line for each flag of `SHARE_FLAGS`."""
    coco(folder, rng)
    (folder / "values.txt").write_text("ant:insect,bee:\ntrain:0.5,val:0.5\n^[^/]+\n")


def flagfile(folder, rng):
    (folder / "experiment.flags").write_text(flags.dumps(Experiment()))
