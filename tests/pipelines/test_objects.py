import numpy as np
import pytest

from pipelines import coco, objects
from tests.pipelines import drawn_scenes
from tfrecog.data import info

ALL = ("boxes", "polygons", "pose")
# Of each way to write scenes the --format, the function, the kinds of scenes, and the parts that an object may have.
FORMATS = {
    "yolo": ("yolo", drawn_scenes.write_yolo, ALL, 1),
    "labelme": ("labelme", drawn_scenes.write_labelme, ALL, 2),
    "cvat": ("cvat", drawn_scenes.write_cvat, ALL, 2),
    "via": ("via", drawn_scenes.write_via, ("boxes", "polygons"), 1),
    "via3": ("via", drawn_scenes.write_via3, ("boxes", "polygons"), 1),
    "via_csv": ("via", drawn_scenes.write_via_csv, ("boxes", "polygons"), 1),
    "label_studio": ("label_studio", drawn_scenes.write_label_studio, ALL, 1),
    "label_studio_min": ("label_studio", drawn_scenes.write_json_min, ("boxes", "polygons"), 1),
    "csv": ("csv", drawn_scenes.write_csv, ("boxes",), 1),
    "openimages": ("csv", drawn_scenes.write_openimages, ("boxes",), 1),
}
KINDS = [(name, kind) for name, (_, _, kinds, _) in FORMATS.items() for kind in kinds]


def objects_of(record):
    return sorted(range(len(record.labels)), key=lambda i: record.boxes[i].tolist())


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_scenes_give_the_records_that_coco_json_of_them_gives(tmp_path, read_all, name, kind):
    form, write, _, parts = FORMATS[name]
    made, pose = drawn_scenes.scenes(kind, parts), kind == "pose"
    images = drawn_scenes.write_images(tmp_path / "images", made)
    json_file = drawn_scenes.write_coco(tmp_path / "coco.json", made, pose)
    built = coco.build(
        coco.Coco(
            images=str(images),
            annotations=str(json_file),
            masks=kind == "polygons",
            out=str(tmp_path / "coco"),
            split="train",
        )
    )
    given = write(tmp_path, made, pose) if pose else write(tmp_path, made)
    flags = objects.Objects(format=form, out=str(tmp_path / "out"), split="train", jobs=1, **given)
    again = objects.build(flags)
    assert built.problems == again.problems == []
    ours, theirs = info.load(tmp_path / "out"), info.load(tmp_path / "coco")
    assert (ours.names, ours.masks, ours.flip_pairs) == (theirs.names, theirs.masks, theirs.flip_pairs)
    read = [{one.filename: one for one in read_all(tmp_path / folder, "train")} for folder in ("out", "coco")]
    assert set(read[0]) == set(read[1]) == {scene.file for scene in made}
    for file, expected in read[1].items():
        record = read[0][file]
        order, other = objects_of(record), objects_of(expected)
        assert record.encoded == expected.encoded and len(order) == len(other)
        assert [record.names[i] for i in order] == [expected.names[i] for i in other]
        np.testing.assert_allclose(record.boxes[order], expected.boxes[other], atol=1e-3)
        if kind == "polygons":
            for i, j in zip(order, other, strict=True):
                np.testing.assert_array_equal(record.masks[i], expected.masks[j])
        if pose and form == "label_studio":  # which has no hidden keypoints
            expected.keypoints[..., 2] = np.where(expected.keypoints[..., 2] > 0, 2, 0)
        if pose:
            np.testing.assert_allclose(record.keypoints[order], expected.keypoints[other], atol=1e-3)
