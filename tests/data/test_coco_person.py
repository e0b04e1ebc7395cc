"""COCO's person: the facts agree with one another and with COCO's own files."""

import json

import numpy as np
from pycocotools.cocoeval import Params

from pipelines.classes import keypoint_sides
from tfrecog.data.classes import coco_person


def test_the_sigmas_are_those_of_pycocotools():
    np.testing.assert_allclose(coco_person.SIGMAS, Params("keypoints").kpt_oks_sigmas, rtol=1e-12)


def test_the_sides_of_a_joint_have_the_same_sigma():
    assert all(coco_person.SIGMAS[left] == coco_person.SIGMAS[right] for left, right in coco_person.FLIP_PAIRS)


def test_the_flip_pairs_are_those_of_the_names():
    assert keypoint_sides.by_name(coco_person.KEYPOINTS) == coco_person.FLIP_PAIRS


def test_names_and_skeleton_are_those_of_cocos_files(shared_data):
    tree = json.loads((shared_data / "coco_ccby_instances_keypoints" / "person_keypoints.json").read_text())
    (person,) = tree["categories"]
    assert tuple(person["keypoints"]) == coco_person.KEYPOINTS
    assert tuple((a - 1, b - 1) for a, b in person["skeleton"]) == coco_person.SKELETON


def test_the_sigmas_where_none_are_given_are_cocos_for_its_person_alone():
    assert coco_person.default_sigmas(list(coco_person.KEYPOINTS)) == coco_person.SIGMAS
    others = ("tip", *coco_person.KEYPOINTS[1:])
    assert coco_person.default_sigmas(others) == (coco_person.DEFAULT_SIGMA,) * 17
    assert coco_person.default_sigmas(("tip", "base")) == (coco_person.DEFAULT_SIGMA,) * 2
