"""The subsets of a project of CVAT, which are splits."""

import pytest

from pipelines import any as any_pipeline
from pipelines import objects
from pipelines.build.problems import Refused
from tests.pipelines import drawn_scenes
from tfrecog.data import info

SUBSETS = {"a.png": "Train", "sub/b.png": "Test", "c.png": "Train"}


@pytest.fixture
def project(tmp_path):
    """The flags of a project with images in two subsets."""
    made = drawn_scenes.scenes("boxes")
    drawn_scenes.write_images(tmp_path / "raw/images", made)
    given = drawn_scenes.write_cvat(tmp_path / "raw", made)
    path = tmp_path / "raw/annotations.xml"
    text = path.read_text()
    for name, subset in SUBSETS.items():
        text = text.replace(f'name="{name}"', f'name="{name}" subset="{subset}"')
    path.write_text(text)
    return given | {"format": "cvat", "out": str(tmp_path / "out"), "jobs": 1}


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({"split": "train"}, ["a.png", "c.png"]),
        ({"split": "test"}, ["sub/b.png"]),
        ({"split": "val", "source_split": "Test"}, ["sub/b.png"]),
        ({"split": "train", "source_split": "*"}, ["a.png", "c.png", "sub/b.png"]),
        ({"split": "val", "source_split": "Test", "shares": ("val:1",)}, ["sub/b.png"]),
    ],
)
def test_a_split_has_the_images_of_its_subset(project, tmp_path, read_all, flags, names):
    assert not objects.build(objects.Objects(**project | flags)).problems
    assert [record.filename for record in read_all(tmp_path / "out", flags["split"])] == names


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"split": "val"}, "has no subset 'val': name one of Test, Train with --source_split, or [*] for all"),
        ({"split": "train", "shares": ("train:1",)}, "name it with --source_split"),
    ],
)
def test_a_split_that_no_subset_is_called_after_is_asked_for(project, flags, message):
    with pytest.raises(Refused, match=message):
        objects.build(objects.Objects(**project | flags))


def test_all_subsets_of_a_folder_are_built(project, tmp_path, capsys):
    any_pipeline.main(any_pipeline.AnyFlags(data=str(tmp_path / "raw"), out=str(tmp_path / "out"), jobs=1))
    splits = info.load(tmp_path / "out").splits
    assert {name: split.images for name, split in splits.items()} == {"train": 2, "test": 1}
    assert capsys.readouterr().out.count("running python -m pipelines.objects --format=cvat") == 2
