"""From a file of weights to a run: what `python -m tfrecog.import_weights` makes of it."""

import dataclasses
import functools
import hashlib
import http.server
import json
import shlex
import threading

import numpy as np
import pytest
import safetensors.numpy

from tests import processes
from tests.folders import REPOSITORY
from tfrecog import import_weights
from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import BackboneConfig, BoxConfig, DetectorConfig, Experiment, FpnConfig, MaskConfig, RpnConfig
from tfrecog.data import info
from tfrecog.data.classes import coco
from tfrecog.runs import checkpoints, trained, warm_start
from tfrecog.runs import folder as runs
from tfrecog.tasks.detection import Detection
from tfrecog.weights import detectron2_models, importer, models, tensors, torchvision_models
from tfrecog.weights.formats import download
from tfrecog.weights.published import DETECTOR_FINE_TUNING, Published

SMALL = DetectorConfig(
    masks=True,
    backbone=BackboneConfig(name="resnet18", width=4),
    fpn=FpnConfig(channels=8),
    rpn=RpnConfig(anchor_sizes=(16, 32)),
    box=BoxConfig(hidden_units=8),
    mask=MaskConfig(channels=8, convs=1),
)
TRAINED = info.DatasetInfo(
    tuple(info.Category(name, i) for i, name in enumerate(("cat", "dog", "emu"), 1)), {}, masks=True
)
BIAS = "roi_heads.box_predictor.cls_score.bias"


def name_of(path):
    """How the library of these tests calls a variable: as we do, but for the layer that counts the classes."""
    return BIAS if path == "box/logits/bias" else path


def arrays_of(model, state):
    return tensors.match(model.variables, state, name_of, lambda path, value: value)


SMALL_MODEL = Published(
    "https://127.0.0.1/small-00000000.pth", "00000000", Experiment(detector=SMALL), TRAINED, {"box AP": 12.5}, "nobody",
    arrays_of, class_bias=BIAS, backgrounds=1, fine_tuning=DETECTOR_FINE_TUNING,
)  # fmt: skip


@functools.cache
def weights_of(classes):
    """A state dict of random numbers for a model of so many classes."""
    categories = tuple(info.Category(str(i), i) for i in range(1, classes + 1))
    model = Detection(Experiment(detector=SMALL), info.DatasetInfo(categories, {}, masks=True)).build()
    rng = np.random.default_rng(0)
    return {name_of(v.path): rng.uniform(0.5, 1.5, v.shape).astype(np.float32) for v in model.variables}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of weights of 3 and of 2 classes."""
    folder = tmp_path_factory.mktemp("weights")
    for classes in (3, 2):
        safetensors.numpy.save_file(weights_of(classes), folder / f"{classes}.safetensors")
    return folder


def make(out, published=SMALL_MODEL, **options):
    """The folder of the run, and what a person is told."""
    return importer.make_run("small", published, out, **options)


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "below" / "run"
    return make(out, weights=files / "3.safetensors")[0]


def test_a_run_has_the_weights_the_classes_and_the_flags(run, files):
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints", "dataset.json", "experiment.flags", "imported.json",
    ]  # fmt: skip
    assert info.load(run) == TRAINED
    experiment = flags.load(Experiment(), run / runs.FLAGFILE)
    assert experiment == dataclasses.replace(SMALL_MODEL.experiment, workdir=str(run))
    *_, model, _, path, step = trained.restore(experiment, "latest")
    state = weights_of(3)
    for variable in model.variables:
        np.testing.assert_array_equal(variable, state[name_of(variable.path)], err_msg=variable.path)
    assert path == checkpoints.latest(run) and step == 0
    assert not list(run.parent.glob(".*")), "no draft is left"


def test_weights_of_ones_own_are_not_given_the_publishers_figures(run, files, tmp_path):
    note = json.loads((run / runs.IMPORTED).read_text())
    assert note["url"] is None and note["published_figures"] is None
    path = files / "3.safetensors"
    genuine = dataclasses.replace(SMALL_MODEL, digest=hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    out, told = make(tmp_path / "run", genuine, weights=path)
    note = json.loads((out / runs.IMPORTED).read_text())
    assert note["url"] == genuine.url and note["published_figures"] == {"box AP": 12.5}
    assert "Published, not measured here: box AP 12.5 (nobody)" in told


def test_other_classes_need_their_names(files, tmp_path):
    weights, out = files / "2.safetensors", tmp_path / "run"
    with pytest.raises(ValueError, match=r"2\.safetensors was trained on 2 classes, and the published small on 3"):
        make(out, weights=weights)
    names = tmp_path / "classes.txt"
    for content, words in {
        b"a\nb\nc\n": "has 3 names, and .* on 2 classes",
        b"a\na\n": "has 'a' twice",
        "é".encode("latin-1"): "cannot be read",
    }.items():
        names.write_bytes(content)
        with pytest.raises(ValueError, match=rf"--classes={names} {words}"):
            make(out, weights=weights, classes=names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.txt"], "an import that fails leaves nothing"
    names.write_bytes(b"\xef\xbb\xbfred cell\r\n\r\nwhite cell\r\n")
    made, _ = make(out, weights=weights, classes=names)
    assert info.load(made).names == ("red cell", "white cell") and info.load(made).masks


@pytest.mark.parametrize(
    ("classes", "without", "change", "words"),
    [
        (2, "mask/deconv/kernel", {}, "mask/deconv"),  # of other classes too, which is not asked about
        (3, "fpn/lateral2/kernel", {"stray.weight": np.ones([2, 5], np.float32)}, r"lateral2.*stray.*\(2, 5\)"),
        (3, None, {BIAS: np.zeros((), np.float32)}, BIAS),
        (3, None, {BIAS: np.zeros(1, np.float32)}, BIAS),
    ],
)
def test_weights_of_another_architecture_are_listed_and_leave_nothing(classes, without, change, words, tmp_path):
    state = weights_of(classes) | change
    state.pop(without, None)
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file(state, path)
    with pytest.raises(ValueError, match=rf"(?s)other\.safetensors is not of --model=small.*{words}") as error:
        make(tmp_path / "run", weights=path)
    assert "--classes" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["other.safetensors"]


@pytest.fixture
def site(files, tmp_path, monkeypatch):
    """A site that publishes the weights of 3 classes, and an empty cache."""
    monkeypatch.setenv("TFRECOG_CACHE", str(tmp_path / "cache"))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(files)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    digest = hashlib.sha256((files / "3.safetensors").read_bytes()).hexdigest()
    yield dataclasses.replace(
        SMALL_MODEL, url=f"http://127.0.0.1:{server.server_port}/3.safetensors", digest=digest[:8]
    )
    server.shutdown()
    server.server_close()


def test_without_a_file_the_published_one_is_downloaded_once(site, files, tmp_path, capsys):
    out, told = make(tmp_path / "run", site)
    assert (tmp_path / "cache" / "3.safetensors").read_bytes() == (files / "3.safetensors").read_bytes()
    note = json.loads((out / runs.IMPORTED).read_text())
    assert (note["url"], note["file"], note["published_figures"]) == (site.url, "3.safetensors", {"box AP": 12.5})
    assert f"downloading {site.url}" in capsys.readouterr().out and "Published, not measured here" in told
    offline = dataclasses.replace(site, url="http://127.0.0.1:9/3.safetensors")
    make(tmp_path / "again", offline)  # From the cache.
    assert "downloading" not in capsys.readouterr().out


def test_without_a_file_and_a_network_it_is_said_how_to_get_it_by_hand(site, tmp_path):
    offline = dataclasses.replace(site, url="http://127.0.0.1:9/3.safetensors")  # Where nobody listens.
    by_hand = rf"cannot download {offline.url} .*put the file at {tmp_path}/cache/3\.safetensors.*--weights=FILE"
    with pytest.raises(download.DownloadError, match=by_hand):
        make(tmp_path / "run", offline)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_empty_stays(run, files):
    before = (run / runs.FLAGFILE).read_bytes()
    with pytest.raises(ValueError, match="is not an empty folder"):
        make(run, weights=files / "3.safetensors")
    assert (run / runs.FLAGFILE).read_bytes() == before


def test_the_list_has_all_models_with_the_publishers_figures(capsys):
    import_weights.main(import_weights.Flags(list=True))
    text = capsys.readouterr().out
    assert len(models.ALL) == len(torchvision_models.MODELS) + len(detectron2_models.MODELS) == 34
    assert all(f"  {model} " in text for model in models.ALL)
    assert "box AP 37.9, mask AP 34.6" in text and "top-1 accuracy 76.13" in text
    assert all(source in text for source in ("torchvision, COCO val2017 (", "detectron2, COCO val2017 ("))


def test_a_model_that_there_is_not_is_answered_with_those_nearest():
    with pytest.raises(UserError, match=r"--model=resnet5: there is no such model; did you mean resnet50 or.*--list"):
        models.find("resnet5")
    with pytest.raises(UserError, match=r"did you mean maskrcnn_resnet50_fpn"):
        models.find("maskrcnn")


@pytest.mark.parametrize(("given", "missing"), [({}, "--model"), ({"model": "resnet18"}, "--out")])
def test_a_model_and_a_folder_are_needed(given, missing):
    with pytest.raises(UserError, match=f"{missing} is missing"):
        import_weights.main(import_weights.Flags(**given))


@pytest.mark.parametrize("module", ["tfrecog.weights.torchvision", "tfrecog.weights.detectron2"])
def test_a_command_of_before_is_refused_with_the_name_of_today(module):
    status, output = processes.Process(module, "--model=resnet50", "--out=weights/resnet50").finish()
    assert status == 2
    assert f"error: {module} is now tfrecog.import_weights" in output


def test_a_run_that_was_imported_is_not_trained_but_started_from(run, tmp_path):
    experiment = runs.resolve(flags.load(Experiment(), run / runs.FLAGFILE))
    with pytest.raises(ValueError, match=rf"holds imported weights.*--train\.start_from={run}"):
        runs.begin(experiment, TRAINED)
    start = dataclasses.replace(experiment.train, start_from=str(run))
    runs.begin(dataclasses.replace(experiment, workdir=str(tmp_path / "new"), train=start), TRAINED).close()


def commanded(command):
    """The experiment that a command of training runs."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "tfrecog.train"]
    return flags.change(Experiment(), words[3:])


@pytest.mark.parametrize("name", models.ALL)
def test_the_settings_of_published_networks_are_valid(name):
    validate.check(models.ALL[name].experiment)


PUBLISHED = {name: published for name, published in models.ALL.items() if published.experiment.task == "detection"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_command_that_is_given_to_train_on_keeps_the_architecture_and_the_rules_of_the_weights(name, tmp_path):
    published = PUBLISHED[name]
    (tmp_path / runs.FLAGFILE).write_text(flags.dumps(dataclasses.replace(published.experiment, workdir=str(tmp_path))))
    command = importer.training(published, str(tmp_path))
    experiment = commanded(command)
    assert experiment.detector == published.experiment.detector
    rules = published.experiment.data
    assert (experiment.data.resize, experiment.data.size_rounding) == (rules.resize, rules.size_rounding)
    assert experiment.train.start_from == str(tmp_path) and experiment.train.skip_mismatched
    assert (experiment.workdir, experiment.data.records) == ("RUN", "RECORDS")
    data = experiment.data
    assert (data.batch_size, data.eval_batch_size, data.pad_to_batch_max) == (4, 4, False)
    assert (experiment.optim.learning_rate, experiment.optim.base_batch_size) == (0.01, 16)
    assert (experiment.schedule.epochs, experiment.schedule.drop_epochs) == (12, (8, 11))
    validate.check(experiment)
    recipes = {"keypointrcnn_resnet50_fpn": "keypoint_rcnn_r50_fpn", "maskrcnn_resnet50_fpn": "mask_rcnn_r50_fpn"}
    if name in recipes:
        assert f"--flagfile=configs/finetune/{recipes[name]}.flags" in command
    if name in detectron2_models.MODELS or name.endswith(("_v2", "_legacy")):
        assert "configs/finetune" not in command


def test_the_command_that_is_given_to_train_on_begins_a_new_run(run, tmp_path):
    command = importer.training(SMALL_MODEL, str(run))
    experiment = runs.resolve(dataclasses.replace(commanded(command), workdir=str(tmp_path / "RUN")))
    runs.begin(experiment, dataclasses.replace(TRAINED, categories=TRAINED.categories[:1])).close()
    written = flags.load(Experiment(), tmp_path / "RUN" / runs.FLAGFILE)
    assert written == experiment and written.detector == SMALL


def test_training_on_other_classes_starts_from_all_but_the_last_layers(run):
    other = info.DatasetInfo((info.Category("fox", 1),), {}, masks=True)
    model = Detection(Experiment(detector=SMALL), other).build()
    report = warm_start.load_weights(run, model, skip_mismatched=True)
    assert f"{len(model.variables) - 6} of {len(model.variables)} variables start from" in report
    state = weights_of(3)
    for variable in model.variables:
        started = np.array_equal(variable, state[name_of(variable.path)])
        assert started != variable.path.startswith(("box/", "mask/logits")), variable.path


@pytest.mark.parametrize(
    ("model", "name", "outputs", "classes"),
    [
        ("maskrcnn_resnet50_fpn", BIAS, 91, 90),
        ("faster_rcnn_R_50_FPN_1x", BIAS, 3, 2),
        ("resnet50_v2", "fc.bias", 1000, 1000),
        ("vgg16_bn", "classifier.6.bias", 10, 10),
        ("mobilenet_v3_large", "classifier.3.bias", 7, 7),
        ("fcn_resnet50", "classifier.4.bias", 21, 21),
        ("maskrcnn_resnet50_fpn", BIAS, 1, None),
        ("maskrcnn_resnet50_fpn", "fc.bias", 1000, None),  # of another architecture, and not of other classes
        ("resnet18", BIAS, 91, None),
    ],
)
def test_the_number_of_classes_is_read_from_the_tensors(model, name, outputs, classes):
    state = {"box_head.fc.bias.x": np.ones(3), "rpn.head.cls_logits.bias": np.ones(3), name: np.ones(outputs)}
    assert models.ALL[model].num_classes(state) == classes


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


MODEL_OF_RECIPE = {
    "faster_rcnn_r50": "fasterrcnn_resnet50_fpn",
    "mask_rcnn_r50": "maskrcnn_resnet50_fpn",
    "keypoint_rcnn_r50": "keypointrcnn_resnet50_fpn",
    "faster_rcnn_mobilenet_v3_320": "fasterrcnn_mobilenet_v3_large_320_fpn",
}


@pytest.mark.parametrize("recipe", MODEL_OF_RECIPE)
def test_a_recipe_of_fine_tuning_has_the_detector_that_its_weights_are_of(recipe):
    path = REPOSITORY / "configs" / "finetune" / f"{recipe}_fpn.flags"
    model = MODEL_OF_RECIPE[recipe]
    assert f"--model={model}" in path.read_text().split()
    assert f"--out=weights/{model}" in path.read_text()
    experiment = flags.load(Experiment(), path)
    assert experiment.detector == torchvision_models.MODELS[model].experiment.detector
    assert experiment.train.start_from == f"weights/{model}" and experiment.train.skip_mismatched


def test_every_detectors_recipe_of_fine_tuning_is_compared_with_its_weights():
    assert len(list((REPOSITORY / "configs" / "finetune").glob("*_rcnn_*.flags"))) == 4
