"""From a file of weights to a run: what `python -m tfrecog.weights.torchvision` makes of it."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from tfrecog import checkpoints, evaluate, flagged, runs
from tfrecog.config import BackboneConfig, BoxConfig, DetectorConfig, Experiment, FpnConfig, MaskConfig, RpnConfig
from tfrecog.data import info
from tfrecog.tasks.detection import Detection
from tfrecog.weights import coco, importer, torchvision_models
from tfrecog.weights.importer import Import
from tfrecog.weights.published import Published

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SMALL = DetectorConfig(
    masks=True,
    backbone=BackboneConfig(name="resnet18", width=4),
    fpn=FpnConfig(channels=8),
    rpn=RpnConfig(anchor_sizes=(16, 32)),
    box=BoxConfig(trunk=8),
    mask=MaskConfig(channels=8, layers=1),
)
TRAINED = info.DatasetInfo(
    tuple(info.Category(name, i) for i, name in enumerate(("cat", "dog", "emu"), 1)), {}, masks=True
)
SMALL_MODEL = Published(
    "https://127.0.0.1/small-00000000.pth", "00000000", Experiment(detector=SMALL), TRAINED, {"box AP": 12.5}, "nobody"
)
BIAS = "roi_heads.box_predictor.cls_score.bias"


def published_names(model):
    """How the library of these tests calls the variables: as we do, but for the layer that counts the classes."""
    return {
        variable.path: BIAS if variable.path == "box/logits/bias" else variable.path for variable in model.variables
    }


def arrays_of(model, state):
    names = published_names(model)
    missing = [name for name in names.values() if name not in state]
    shapes = {names[v.path]: tuple(v.shape) for v in model.variables}
    wrong = [f"{name} is {state[name].shape}" for name in state if state[name].shape != shapes.get(name)]
    if missing or wrong:
        raise ValueError(f"missing {missing}, wrong {wrong}")
    return {path: state[name] for path, name in names.items()}


def weights_of(classes):
    """A state dict of random numbers for a model of so many classes."""
    categories = tuple(info.Category(str(i), i) for i in range(1, classes + 1))
    model = Detection(Experiment(detector=SMALL), info.DatasetInfo(categories, {}, masks=True)).build()
    rng = np.random.default_rng(0)
    names = published_names(model)
    return {names[v.path]: rng.uniform(0.5, 1.5, v.shape).astype(np.float32) for v in model.variables}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of weights of 3 and of 2 classes."""
    folder = tmp_path_factory.mktemp("weights")
    for classes in (3, 2):
        safetensors.numpy.save_file(weights_of(classes), folder / f"{classes}.safetensors")
    return folder


def make(options, models=None):
    return importer.make_run(options, models or {"small": SMALL_MODEL}, arrays_of, "import")


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "below" / "run"
    return make(Import(model="small", weights=str(files / "3.safetensors"), out=str(out)))


def test_a_run_has_the_weights_the_classes_and_the_flags(run, files):
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints", "dataset.json", "experiment.flags", "imported.json",
    ]  # fmt: skip
    assert info.load(run) == TRAINED
    experiment = flagged.load(Experiment(), run / runs.FLAGFILE)
    assert experiment == dataclasses.replace(SMALL_MODEL.experiment, workdir=str(run))
    *_, model, _, path, step = evaluate.restore(experiment, "latest")
    state = weights_of(3)
    for variable_path, name in published_names(model).items():
        value = next(v for v in model.variables if v.path == variable_path)
        np.testing.assert_array_equal(value, state[name], err_msg=variable_path)
    assert path == checkpoints.latest(run) and step == 0
    assert not list(run.parent.glob(".*")), "no draft is left"


def test_weights_of_ones_own_are_not_given_the_publishers_figures(run, files, tmp_path, capsys):
    note = json.loads((run / runs.IMPORTED).read_text())
    assert note["url"] is None and note["published_figures"] is None
    path = files / "3.safetensors"
    genuine = dataclasses.replace(SMALL_MODEL, digest=hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    out = make(Import(model="small", weights=str(path), out=str(tmp_path / "run")), {"small": genuine})
    note = json.loads((out / runs.IMPORTED).read_text())
    assert note["url"] == genuine.url and note["published_figures"] == {"box AP": 12.5}
    assert "Published, not measured here: box AP 12.5 (nobody)" in capsys.readouterr().out


def test_other_classes_need_their_names(files, tmp_path):
    weights, out = str(files / "2.safetensors"), str(tmp_path / "run")
    with pytest.raises(ValueError, match=r"2\.safetensors was trained on 2 classes, and the published small on 3"):
        make(Import(model="small", weights=weights, out=out))
    names = tmp_path / "classes.txt"
    for text, words in [("a\nb\nc\n", "has 3 names, and .* on 2 classes"), ("a\na\n", "'a' twice")]:
        names.write_text(text)
        with pytest.raises(ValueError, match=words):
            make(Import(model="small", weights=weights, out=out, classes=str(names)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.txt"], "an import that fails leaves nothing"
    names.write_text("red cell\n\nwhite cell\n")
    made = make(Import(model="small", weights=weights, out=out, classes=str(names)))
    assert info.load(made).names == ("red cell", "white cell") and info.load(made).masks


def test_a_folder_that_is_not_empty_stays(run, files):
    before = (run / runs.FLAGFILE).read_bytes()
    with pytest.raises(ValueError, match="the folder is not empty"):
        make(Import(model="small", weights=str(files / "3.safetensors"), out=str(run)))
    assert (run / runs.FLAGFILE).read_bytes() == before


def test_weights_of_another_architecture_are_listed_and_leave_nothing(files, tmp_path):
    state = weights_of(3)
    del state["fpn/lateral2/kernel"]
    state["stray.weight"] = np.ones([2, 5], np.float32)
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file(state, path)
    with pytest.raises(ValueError, match=r"(?s)other\.safetensors is not of --model=small.*lateral2.*stray.*\(2, 5\)"):
        make(Import(model="small", weights=str(path), out=str(tmp_path / "run")))
    assert [path.name for path in tmp_path.iterdir()] == ["other.safetensors"]


@pytest.mark.parametrize(("name", "words"), [("", "--model: choose one"), ("resnet5", "--model=resnet5: there is no")])
def test_without_a_model_there_is_the_list_with_the_publishers_figures(name, words):
    with pytest.raises(ValueError) as error:
        make(Import(model=name, out="x"), torchvision_models.MODELS)
    text = str(error.value)
    assert words in text and len(torchvision_models.MODELS) == 23
    assert all(f"  {model} " in text for model in torchvision_models.MODELS)
    assert "box AP 37.9, mask AP 34.6" in text and "top-1 accuracy 76.13" in text


def test_a_run_that_was_imported_is_not_trained_but_started_from(run, tmp_path):
    experiment = runs.resolve(flagged.load(Experiment(), run / runs.FLAGFILE))
    with pytest.raises(ValueError, match=rf"holds imported weights.*--train\.start_from={run}"):
        runs.begin(experiment, TRAINED)
    start = dataclasses.replace(experiment.train, start_from=str(run))
    runs.begin(dataclasses.replace(experiment, workdir=str(tmp_path / "new"), train=start), TRAINED).close()


def test_training_on_other_classes_starts_from_all_but_the_last_layers(run):
    other = info.DatasetInfo((info.Category("fox", 1),), {}, masks=True)
    model = Detection(Experiment(detector=SMALL), other).build()
    report = checkpoints.load_weights(run, model, skip_mismatched=True)
    assert f"{len(model.variables) - 6} of {len(model.variables)} variables start from" in report
    state, names = weights_of(3), published_names(model)
    for variable in model.variables:
        started = np.array_equal(variable, state[names[variable.path]])
        assert started != variable.path.startswith(("box/", "mask/logits")), variable.path


@pytest.mark.parametrize(
    ("task", "name", "outputs", "classes"),
    [
        ("detection", "roi_heads.box_predictor.cls_score.bias", 91, 90),
        ("classification", "fc.bias", 1000, 1000),
        ("classification", "classifier.6.bias", 10, 10),
    ],
)
def test_the_number_of_classes_is_read_from_the_tensors(task, name, outputs, classes):
    state = {"box_head.fc.bias.x": np.ones(3), "rpn.head.cls_logits.bias": np.ones(3), name: np.ones(outputs)}
    assert importer.num_classes(state, task) == classes
    # A classifier's file given for a detector is of another architecture, and not of other classes.
    assert importer.num_classes(state, {"detection": "classification"}.get(task, "detection")) is None


def test_cocos_categories_are_the_eighty_of_its_files():
    assert len(coco.NAMES) == 80 and len(set(coco.NAMES.values())) == 80
    assert [category.id for category in coco.BY_ID] == list(range(1, 91))
    assert len({category.name for category in coco.BY_ID}) == 90
    unused = [category.id for category in coco.BY_ID if category.name.startswith("unused")]
    assert unused == [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]


def test_cocos_names_are_those_of_real_annotations(shared_data):
    path = shared_data / "coco_ccby_instances_keypoints" / "instances.json"
    categories = json.loads(path.read_text())["categories"]
    assert {category["id"]: category["name"] for category in categories} == coco.NAMES


@pytest.mark.parametrize(
    ("recipe", "model"),
    [
        ("faster_rcnn_r50_fpn", "fasterrcnn_resnet50_fpn"),
        ("mask_rcnn_r50_fpn", "maskrcnn_resnet50_fpn"),
        ("keypoint_rcnn_r50_fpn", "keypointrcnn_resnet50_fpn"),
        ("faster_rcnn_mobilenet_v3_320_fpn", "fasterrcnn_mobilenet_v3_large_320_fpn"),
    ],
)
def test_a_recipe_of_fine_tuning_has_the_detector_that_its_weights_are_of(recipe, model):
    path = REPOSITORY / "configs" / "finetune" / f"{recipe}.flags"
    experiment = flagged.load(Experiment(), path)
    assert experiment.detector == torchvision_models.MODELS[model].experiment.detector
    assert experiment.train.start_from == f"weights/{model}" and experiment.train.skip_mismatched
    assert f"--model={model}" in path.read_text() and f"--out=weights/{model}" in path.read_text()


def test_every_recipe_of_fine_tuning_is_compared_with_its_weights():
    tested = {"faster_rcnn_r50_fpn", "mask_rcnn_r50_fpn", "keypoint_rcnn_r50_fpn", "faster_rcnn_mobilenet_v3_320_fpn"}
    assert {path.stem for path in (REPOSITORY / "configs" / "finetune").glob("*.flags")} == tested
