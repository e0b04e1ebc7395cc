"""Small inputs that are whole. Each function writes one to a folder, and `rng` decides which."""

import base64
import functools
import gzip
import json
import pickle
import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import safetensors.numpy
from PIL import Image

from pipelines import scenes
from tests.export import served_folders, stand_in
from tests.folders import REFERENCE
from tests.pipelines import drawn_scenes, small_voc
from tfrecog.cli import flags
from tfrecog.config import Experiment
from tfrecog.data import index

KINDS = ("boxes", "polygons", "pose")  # of scenes


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


def weights(folder, rng):
    kind = rng.choice(("zip.pth", "legacy.pth", "zip_checkpoint.pth", "pkl", "safetensors"))
    state = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(2, np.float32)}
    if kind.endswith("pth"):
        shutil.copy(REFERENCE / "weights" / kind, folder / "weights.pth")
    elif kind == "pkl":
        (folder / "weights.pkl").write_bytes(pickle.dumps({"model": state}, rng.randrange(6)))
    else:
        safetensors.numpy.save_file(state, folder / "weights.safetensors")


def metadata(folder, rng):
    joints = {"keypoints": ["left", "right"], "flip_pairs": [[0, 1]], "skeleton": [[0, 1]]}
    made = stand_in.metadata(rng.choice(("detection", "classification", "segmentation")), (8, 8), **joints)
    (folder / "tfrecog.json").write_text(json.dumps(made))


@functools.cache
def _program():
    with tempfile.TemporaryDirectory() as folder:
        made = served_folders.write(Path(folder), served_folders.Colours(), "classification")
        return (made / "1/saved_model.pb").read_bytes()


def request(folder, rng):
    """Bodies of V1 and V2, of files and of pixels."""
    pixels, png = np.arange(12).reshape(2, 2, 3).tolist(), served_folders.encoded(np.zeros([2, 2, 3], np.uint8))
    text = base64.b64encode(png).decode()
    files = {"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": [text]}
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [pixels]}
    outputs = {"outputs": [{"name": "scores", "parameters": {"binary_data": True}}], "id": "7"}
    bodies = (
        {"instances": [{"b64": text}, pixels], "signature_name": "serving_default"},
        {"inputs": {"image_bytes": [{"b64": text}]}},
        {"inputs": [files], **outputs},
        {"inputs": [image], "parameters": {"binary_data_output": True}},
    )
    (folder / "body.json").write_text(json.dumps(rng.choice(bodies)))


def saved_model(folder, rng):
    (folder / "saved_model.pb").write_bytes(_program())


def flagfile(folder, rng):
    (folder / "experiment.flags").write_text(flags.dumps(Experiment()))
