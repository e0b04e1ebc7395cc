"""From files on a disk to detections, here and at torchvision: the commands that a person gives, and nothing between.

The weights are seeded, as published files need the network. Runs where PEER_PYTHON names an interpreter that has
torchvision, and the real photos are at hand.
"""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from tests import sides
from tests.folders import REPOSITORY

PHOTOS = ("000000229358.jpg", "000000183709.jpg")  # 423 x 640 and 640 x 480


def run(*command):
    done = subprocess.run(list(map(str, command)), cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module", params=["maskrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn"])
def both(request, tmp_path_factory, shared_data):
    """The photos, what torchvision sees in them, and the rows of our detections.json."""
    name, folder, peer = request.param, tmp_path_factory.mktemp("published"), sides.peer_python()
    photos = [shared_data / "coco_ccby_instances_keypoints" / "images" / photo for photo in PHOTOS]
    run(peer, sides.REFERENCE / "torchvision_on_files.py", name, folder, *photos)
    weights, made = folder / "weights.pth", folder / "run"
    run(sys.executable, "-m", "tfrecog.import_weights", f"--model={name}", f"--weights={weights}", f"--out={made}")
    run(
        sys.executable, "-m", "tfrecog.predict", f"--flagfile={made}/experiment.flags", "--min_score=0.05",
        f"--images={','.join(map(str, photos))}", f"--out={folder / 'seen'}",
    )  # fmt: skip
    rows = json.loads((folder / "seen" / "detections.json").read_text())
    return photos, dict(np.load(folder / "seen.npz")), rows


def test_the_photos_differ_in_size_and_shape(both):
    photos, _, _ = both
    sizes = [Image.open(photo).size for photo in photos]
    assert sizes[0][0] > sizes[0][1] and sizes[1][0] < sizes[1][1]


def test_files_become_the_detections_that_torchvision_makes_of_them(both):
    photos, peers, rows = both
    for i, photo in enumerate(photos):
        ours = [row for row in rows if row["file_name"] == str(photo)]
        labels, scores = peers[f"labels_{i}"], peers[f"scores_{i}"]
        assert len(ours) == len(scores) >= 20 and scores.max() > 0.5, "a comparison of much, and of sure detections"
        x, y, width, height = np.array([row["bbox"] for row in ours]).T
        boxes = np.stack([x, y, x + width, y + height], axis=-1)
        mine = {"boxes": boxes, "labels": np.array([row["category_id"] for row in ours])}
        # Equal scores may change places: each is compared with the nearest of its label.
        order = sides.nearest_of_label(mine, {"boxes": peers[f"boxes_{i}"], "labels": labels})
        sides.assert_fall(np.array([row["score"] for row in ours]))
        ours = [ours[place] for place in order]
        sides.assert_fall(np.array([row["score"] for row in ours]))
        sides.assert_fall(scores)
        assert [row["category_id"] for row in ours] == labels.tolist()
        np.testing.assert_allclose(boxes[order], peers[f"boxes_{i}"], rtol=0, atol=0.01)
        np.testing.assert_allclose([row["score"] for row in ours], scores, rtol=0, atol=1e-4)
        if f"masks_{i}" in peers:
            masks = coco_mask.decode([row["segmentation"] for row in ours]).transpose(2, 0, 1).astype(bool)
            expected = np.unpackbits(peers[f"masks_{i}"], axis=-1, count=masks.shape[2]).astype(bool)
            # A pixel whose probability is a half but for rounding may fall on either side.
            assert expected.sum() > 10_000 and (masks != expected).sum() <= 5
        if f"keypoints_{i}" in peers:
            points, expected = (
                np.reshape(keypoints, [-1, 17, 3])[..., :2]
                for keypoints in ([row["keypoints"] for row in ours], peers[f"keypoints_{i}"])
            )
            points = sides.decided_keypoints(points, expected, peers[f"keypoint_leads_{i}"])
            np.testing.assert_allclose(points, expected, rtol=0, atol=0.05)
