"""A small COCO-style dataset whose contents are known by construction, and the real one."""

import copy
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfrecog.data.split import Split

HEIGHT, WIDTH = 40, 60


class SmallCoco:
    """Two images of 40 x 60 with one square each; `tree` may be changed before `write`."""

    def __init__(self, folder):
        self.folder, self.images, self.json = folder, folder / "images", folder / "instances.json"
        self.images.mkdir(parents=True)
        rng = np.random.default_rng(0)
        self.tree = {
            "images": [],
            "annotations": [],
            "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "ant"}],
        }
        for number in (1, 2):
            name = f"{number}.png"
            Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)).save(self.images / name)
            self.tree["images"].append({"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH})
            self.tree["annotations"].append(self.square(10 * number, number))

    @staticmethod
    def square(annotation_id, image_id, **changes):
        square = {"id": annotation_id, "image_id": image_id, "category_id": 7, "iscrowd": 0, "area": 100}
        square |= {"bbox": [20, 10, 10, 10], "segmentation": [[20, 10, 30, 10, 30, 20, 20, 20]]}
        return copy.deepcopy(square | changes)

    def write(self):
        """The flags of pipelines.coco that name its files."""
        self.json.write_text(json.dumps(self.tree))
        return {"images": str(self.images), "annotations": str(self.json)}


@pytest.fixture
def small_coco(tmp_path):
    return SmallCoco(tmp_path / "raw")


@pytest.fixture
def unwritable():
    """A folder that this process may read and not write; root becomes another user for the test."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # not in tmp_path, where another user could not even look
        os.chmod(folder, 0o555)
        if user == 0:
            os.seteuid(65534)  # nobody
        try:
            yield Path(folder)
        finally:
            os.seteuid(user)


@pytest.fixture(scope="session")
def real_coco(shared_data):
    folder = shared_data / "coco_ccby_instances_keypoints"
    if not folder.is_dir():
        pytest.skip(f"the 16 COCO images are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def read_all():
    """Function: the records of a split, read by place with their checksums."""

    def read(folder, split):
        opened = Split.open(folder, split)
        return [opened.truth(row) for row in range(len(opened))]

    return read


@pytest.fixture(scope="session")
def contents():
    """Function: bytes of every file of a dataset that a reader sees, by name."""

    def of(folder):
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}

    return of
