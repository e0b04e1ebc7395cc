import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds

from pipelines import tfds as pipeline
from pipelines.build.problems import MostlyLost, Refused
from pipelines.formats import tfds_features
from tests import processes
from tfrecog.data import image, info, records

RNG = np.random.default_rng(0)
DIGITS = RNG.integers(0, 256, (7, 6, 5, 1), np.uint8)
MAPS = RNG.integers(0, 4, (3, 40, 60), np.uint8)
PHOTOS = RNG.integers(0, 256, (3, 40, 60, 3), np.uint8)


Image, ClassLabel, Text = tfds.features.Image, tfds.features.ClassLabel, tfds.features.Text


class _Small(tfds.core.GeneratorBasedBuilder):
    """What the builders of these tests share: examples in memory, nothing to download."""

    VERSION = tfds.core.Version("1.0.0")
    MAX_SIMULTANEOUS_DOWNLOADS = 1

    def _split_generators(self, _):
        return {"train": self._generate_examples(), "validation": self._generate_examples()}


def _builder(name, features, examples):
    """A class of builders with these features and examples."""

    def info_(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    members = {"_info": info_, "_generate_examples": lambda _: iter(enumerate(examples)), "__module__": __name__}
    return type(name, (_Small,), members)


BOXES = [(10, 15, 30, 45), (1, 2, 39, 58), (5, 5, 5, 20)]


def _object(number, place):
    y1, x1, y2, x2 = BOXES[place]
    facts = {"label": place % 2, "is_difficult": place == 1, "id": 100 * number + place}
    return {"bbox": tfds.features.BBox(y1 / 40, x1 / 60, y2 / 40, x2 / 60), **facts}


OBJECT = {"bbox": tfds.features.BBoxFeature(), "label": ClassLabel(names=["potted plant", "tv monitor"])}
BUILDERS = [
    _builder(  # as mnist: gray images with a label, one of them -1
        "SmallDigits",
        {"image": Image(shape=(None, None, 1), encoding_format="png"), "label": ClassLabel(num_classes=10)},
        [{"image": pixels, "label": number - 1} for number, pixels in enumerate(DIGITS)],
    ),
    _builder(  # as imagenet2012: classes are WordNet ids
        "SmallImagenet",
        {
            "image": Image(encoding_format="jpeg"),
            "label": ClassLabel(names=["n01440764", "n03028079"]),
            "file_name": Text(),
        },
        [{"image": PHOTOS[n], "label": n % 2, "file_name": f"{n}.JPEG"} for n in range(3)],
    ),
    _builder(  # as voc and coco: objects with boxes as fractions; image n has the first n + 1
        "SmallVoc",
        {
            "image": Image(),
            "image/filename": Text(),
            "image/id": np.int64,
            "objects": tfds.features.Sequence(OBJECT | {"is_difficult": np.bool_, "id": np.int64}),
        },
        [
            {"image": PHOTOS[n], "objects": [_object(n, k) for k in range(n + 1)]}
            | {"image/filename": f"{n}.png", "image/id": 7 + n}
            for n in range(3)
        ],
    ),
    _builder(  # as oxford_iiit_pet: a label, and a label map whose values have no names; and one in an array
        "SmallMaps",
        {
            "segmentation_mask": Image(shape=(None, None, 1), use_colormap=True),
            "image": Image(),
            "label": ClassLabel(names=["cat", "dog"]),
            "semantic_map": tfds.features.Tensor(shape=(40, 60), dtype=np.uint8),
        },
        [
            {"image": PHOTOS[n], "label": n % 2, "segmentation_mask": MAPS[n][..., None], "semantic_map": 3 - MAPS[n]}
            for n in range(3)
        ],
    ),
    _builder(  # as cityscapes: another name for the image, and a label map with names, its first value of no class
        "SmallScenes",
        {
            "segmentation_label": tfds.features.LabeledImage(labels=["unlabelled", "road", "car"]),
            "image_left": Image(),
            "image_id": Text(),
        },
        [
            {"image_left": PHOTOS[n], "segmentation_label": np.minimum(MAPS[n], 2)[..., None], "image_id": str(n)}
            for n in range(3)
        ],
    ),
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for builder in BUILDERS:
        builder(data_dir=folder).download_and_prepare()
    return folder


def _build(data_dir, name, out, split="train", **options):
    return pipeline.build(
        pipeline.Tfds(builder=name, out=str(out), split=split, data_dir=str(data_dir), jobs=1, **options)
    )


def test_images_keep_their_pixels_and_labels(data_dir, tmp_path, read_all):
    made = _build(data_dir, "small_digits", tmp_path)
    (problem,) = made.problems
    assert problem.kind == "image without label" and "its label is -1" in problem.what
    facts = info.load(tmp_path)
    assert facts.image_labels and facts.names == tuple("0123456789")
    read = read_all(tmp_path, "train")
    assert sorted(record.label for record in read) == [1, 2, 3, 4, 5, 6]
    for record in read:
        np.testing.assert_array_equal(image.decode(record.encoded)[..., :1], DIGITS[record.label])
        assert (
            record.class_name == str(record.label - 1) and record.filename == f"train-{int(record.source_id):06d}.png"
        )


def test_the_command_reads_a_folder_of_prepared_data(data_dir, tmp_path, read_all):
    """In a process that does not know the code that prepared them."""
    places = (f"--builder={data_dir / 'small_imagenet/1.0.0'}", f"--out={tmp_path}")
    output = processes.run("pipelines.tfds", *places, "--split=val", "--shards=2", "--jobs=1")
    assert "val has 3 images of 2 classes in 2 shards" in output
    assert [(one.name, one.key) for one in info.load(tmp_path).categories] == [
        ("tench", "n01440764"),
        ("church", "n03028079"),
    ]
    for record in read_all(tmp_path, "val"):
        number = int(record.filename.removesuffix(".JPEG"))
        assert record.label == number % 2 + 1 and record.format == "jpeg"
        # tfds wrote the JPEG; that it is this photo's the mean colour tells.
        np.testing.assert_allclose(image.decode(record.encoded).numpy().mean(), PHOTOS[number].mean(), atol=1)


def test_a_part_of_a_split_is_those_examples(data_dir, tmp_path, read_all):
    _build(data_dir, "small_imagenet", tmp_path / "all", source_split="validation")
    _build(data_dir, "small_imagenet", tmp_path / "some", source_split="validation[1:]")
    every, some = read_all(tmp_path / "all", "train"), read_all(tmp_path / "some", "train")
    assert [record.encoded for record in some] == [record.encoded for record in every[1:]]


def test_objects_become_boxes_and_difficult_ones_are_marked(data_dir, tmp_path, read_all):
    made = _build(data_dir, "small_voc", tmp_path)
    assert [problem.kind for problem in made.problems] == ["object without box or class"]
    facts = info.load(tmp_path)
    assert not facts.image_labels and facts.names == ("potted plant", "tv monitor")
    assert facts.difficult and (facts.splits["train"].instances, facts.splits["train"].crowd) == (5, 0)
    for record in read_all(tmp_path, "train"):
        number = int(record.source_id) - 7
        np.testing.assert_array_equal(image.decode(record.encoded), PHOTOS[number])
        assert record.boxes.tolist() == [list(box) for box in BOXES[:2]][: number + 1]
        assert record.areas.tolist() == [600, 2128][: number + 1]
        assert record.names == ["potted plant", "tv monitor"][: number + 1]
        assert record.difficult.tolist() == [False, True][: number + 1] and not record.crowd.any()
        assert record.ids.tolist() == [100 * number, 100 * number + 1][: number + 1]


@pytest.mark.parametrize(
    ("name", "most", "words"), [("small_digits", 0.1, "1 of 7 images"), ("small_voc", 0.15, "1 of 6 objects")]
)
def test_a_build_that_would_lose_more_than_may_be_writes_nothing(data_dir, tmp_path, name, most, words):
    with pytest.raises(MostlyLost, match=f"{words} cannot be used, and --max_left_out={most} is the largest share"):
        _build(data_dir, name, tmp_path / "out", max_left_out=most)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "flags"), [("small_digits", {}), ("small_voc", {}), ("small_scenes", {"ignore": ("unlabelled",)})]
)
def test_the_examples_of_one_split_are_shared_out(data_dir, tmp_path, read_all, name, flags):
    shares = {"shares": ("train:0.5", "val:0.5"), "source_split": "train", "max_left_out": 1.0}
    _build(data_dir, name, tmp_path / "whole", **flags)
    for split in ("train", "val"):
        _build(data_dir, name, tmp_path / "parts", split, **shares, **flags)
    parts = [[record.encoded for record in read_all(tmp_path / "parts", split)] for split in ("train", "val")]
    whole = [record.encoded for record in read_all(tmp_path / "whole", "train")]
    assert sorted(parts[0] + parts[1]) == sorted(whole) and abs(len(parts[0]) - len(parts[1])) <= 1
    with pytest.raises(Refused, match="name it with --source_split"):
        _build(data_dir, name, tmp_path / "parts", **shares | {"source_split": ""}, **flags)


def test_classes_of_images_are_merged_and_left_out_and_those_are_not_lost(data_dir, tmp_path, read_all):
    rename = (*(f"{number}:few" for number in (1, 2)), *(f"{number}:" for number in (0, 3, 4, 5)))
    made = _build(data_dir, "small_digits", tmp_path, rename=rename)
    assert info.load(tmp_path).names == ("few", "6", "7", "8", "9")
    assert sorted(record.class_name for record in read_all(tmp_path, "train")) == ["few", "few"]
    kinds = [problem.kind for problem in made.problems]
    assert kinds.count("not of the classes") == 4  # of the labels 0, 3, 4 and 5; 1 of the other 3 images has none


def test_classes_of_objects_and_of_pixels_are_left_out(data_dir, tmp_path, read_all):
    made = _build(data_dir, "small_voc", tmp_path / "voc", rename=("potted plant:", "tv monitor:screen"))
    assert info.load(tmp_path / "voc").names == ("screen",) and made.split.instances == 2
    assert [problem.kind for problem in made.problems].count("not of the classes") == 3
    _build(data_dir, "small_scenes", tmp_path / "maps", rename=("road:",), ignore=("unlabelled",))
    assert info.load(tmp_path / "maps").names == ("car",)
    for record in read_all(tmp_path / "maps", "train"):
        assert set(np.unique(records.from_label_map(record.label_map))) == {0, 1}


def _label_maps(read):
    return [records.from_label_map(record.label_map) for record in read]


def test_label_maps_have_the_names_of_their_feature_and_what_is_ignored_does_not_count(data_dir, tmp_path, read_all):
    made = _build(data_dir, "small_scenes", tmp_path, ignore=("unlabelled",))
    assert not made.problems
    facts = info.load(tmp_path)
    assert facts.label_maps and not facts.image_labels and facts.names == ("road", "car")
    read = read_all(tmp_path, "train")
    order = [next(n for n in range(3) if np.array_equal(image.decode(one.encoded), PHOTOS[n])) for one in read]
    for number, labels in zip(order, _label_maps(read), strict=True):
        np.testing.assert_array_equal(labels, np.minimum(MAPS[number], 2))  # 0 does not count, road is 1, car 2
    assert facts.splits["train"].pixels == tuple(np.bincount(np.minimum(MAPS, 2).ravel()).tolist())


@pytest.mark.parametrize("key", ["segmentation_mask", "semantic_map"])
def test_a_label_map_beside_a_label_is_taken_where_it_is_named(data_dir, tmp_path, read_all, key):
    _build(data_dir, "small_maps", tmp_path / "labels")
    assert info.load(tmp_path / "labels").image_labels
    classes = tmp_path / "classes.txt"
    classes.write_text("1 pet\n2 background\n3 border\n")
    options = {"label_maps": key, "classes": str(classes)}
    made = _build(data_dir, "small_maps", tmp_path / "maps", **options)
    # 0 is of no class and not said to be ignored.
    assert [problem.kind for problem in made.problems] == ["value outside the class table"] * 3
    assert "--ignore=0" in made.problems[0].remedy
    facts = info.load(tmp_path / "maps")
    assert facts.label_maps and not facts.image_labels and facts.names == ("pet", "background", "border")
    for record, labels in zip(both := read_all(tmp_path / "maps", "train"), _label_maps(both), strict=True):
        number = next(n for n in range(3) if np.array_equal(image.decode(record.encoded), PHOTOS[n]))
        expected = MAPS[number] if key == "segmentation_mask" else 3 - MAPS[number]
        np.testing.assert_array_equal(labels, expected)
        assert not record.label and not len(record.boxes)


def test_the_worker_processes_get_the_maker(data_dir):
    maker = pickle.loads(
        pickle.dumps(tfds_features.Maker(tfds_features.Keys("image", "label"), ("a", "b"), (1, 2), None, "auto"))
    )
    folder = str(data_dir / "small_imagenet/1.0.0")

    def made(*numbers):
        return [maker(tfds_features.Example(folder, "train", "train", n), []).encoded for n in numbers]

    in_turn = made(0, 1, 2)
    assert len(set(in_turn)) == 3
    assert made(2, 0, 1) == [in_turn[n] for n in (2, 0, 1)], "wherever a shard begins, the examples are the same"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("small_maps", {"label_maps": "segmentation_mask"}, "has no names for the values .* with --classes"),
        ("small_maps", {"label_maps": "masks"}, r"has no 'masks': its features are .*\. Records"),
        ("small_maps", {"ignore": ("0",)}, "--ignore is for label maps, .* name them with --label_maps"),
        ("small_scenes", {"ignore": ("sky",)}, "--ignore=sky: .* such as unlabelled, road, car"),
        ("small_digits", {"source_split": "test"}, r"has no split 'test'; it has train, validation\. Name one"),
        ("small_digits", {"source_split": "train[:0]"}, r"has no example|has no split"),
        ("no_such_builder", {}, r"TensorFlow Datasets has no builder 'no_such_builder'"),
        ("./no/folder", {}, "^there is no folder ./no/folder; give that of the prepared data"),
        ("imagenet2012", {}, r"cannot prepare imagenet2012: .*manual_dir should contain two files"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(data_dir, tmp_path, name, options, message):
    with pytest.raises(Refused, match=f"(?s){message}"):
        _build(data_dir, name, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_without_a_network_the_message_says_what_to_do(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise ConnectionError("Failed to resolve 'storage.googleapis.com'")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", offline)
    with pytest.raises(Refused, match=r"cannot prepare mnist: ConnectionError: .*\nwithout a network, prepare it on"):
        pipeline.build(
            pipeline.Tfds(builder="mnist", out=str(tmp_path / "out"), split="train", data_dir=str(tmp_path / "data"))
        )
