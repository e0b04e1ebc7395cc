"""Small records for each task."""

import pytest

from pipelines import digits, scenes
from tests.halves import HALVES, halves


@pytest.fixture(scope="session")
def digit_records(tmp_path_factory):
    """Records of 64 small pictures with classes, and of 18 to evaluate on."""
    folder = tmp_path_factory.mktemp("digits")
    for split, count in (("train", 64), ("val", 18)):
        digits.build(*halves(count, count), digits.Digits(out=str(folder), split=split, jobs=1), HALVES)
    return folder


@pytest.fixture(scope="session")
def map_records(tmp_path_factory):
    """Records of 16 scenes with label maps, and of 7 to evaluate on, of two sizes."""
    folder = tmp_path_factory.mktemp("maps")
    for split, count in (("train", 16), ("val", 7)):
        options = scenes.Scenes(height=64, width=80, label_maps=True, portrait=0.5)
        scenes.build(str(folder), split, count, options, jobs=1)
    return folder


@pytest.fixture(scope="session")
def scene_records(tmp_path_factory):
    """Records of 8 scenes with objects, and of 5 to evaluate on."""
    folder = tmp_path_factory.mktemp("scenes")
    for split, count in (("train", 8), ("val", 5)):
        scenes.build(str(folder), split, count, jobs=1)
    return folder
