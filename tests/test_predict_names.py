"""Prediction by the names of things: pictures, folders, films, addresses, and models of all kinds."""

import functools
import http.server
import json
import sys
import threading

import numpy as np
import pytest
from PIL import Image

import tfrecog
from tests.export import random_runs, stand_in
from tests.films import film
from tfrecog import predict
from tfrecog.cli import command, flags
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs with random weights, of a classifier and a segmenter; moved after they were made."""
    folder = tmp_path_factory.mktemp("runs")
    for recipe in ("classifier_digits", "segmenter"):
        random_runs.make(recipe, folder / f"made-{recipe}").parent.rename(folder / recipe)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working directory, with a picture, a folder of folders and what is no picture."""
    for name in ("photo.jpg", "more/a.png", "more/below/b.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 255, [40, 60, 3], np.uint8)).save(path)
    for name in ("more/notes.txt", "more/.hidden", "more/below/table.csv", "more/code.ts"):
        (tmp_path / name).write_text("no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    predict.main(command.parse(predict.Flags(), arguments, ("images",)))


def test_pictures_and_folders_are_named_without_a_flag_and_what_was_seen_and_left_out_is_said(runs, here, capsys):
    run("photo.jpg", f"--model={runs}/classifier_digits", "more")
    printed = capsys.readouterr()
    model = tfrecog.load(runs / "classifier_digits")
    best = model.predict("photo.jpg")
    assert f"photo.jpg: {best.names[0]} {best.scores[0]:.1%}, " in printed.out and "-> seen/photo.jpg" in printed.out
    assert "more/below/b.png: " in printed.out and (here / "seen/more/below/b.jpg").is_file()
    assert "3 of 3 images done: pictures and predictions.json are in seen" in printed.out
    left_out = printed.err.splitlines()[-1]
    assert (
        left_out.startswith("left out, as no pictures by name: 3 files")
        and "more/below/table.csv, more/code.ts, more/notes.txt" in left_out
    )
    run(f"--flagfile={runs}/classifier_digits/experiment.flags", "more", "--out=again")  # It was moved.
    assert len(json.loads((here / "again/predictions.json").read_text())) == 2


def test_a_film_becomes_a_film_and_a_row_for_each_frame(runs, here, capsys):
    """Of a segmenter, whose legend has more lines when more classes are there."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV, which reads films, is not installed")
    film(here / "clip.avi", frames=10)
    (here / "no.mp4").write_text("no film")
    run("clip.avi", "no.mp4", "photo.jpg", f"--model={runs}/segmenter", "--every=3", "--draw_side=0")
    printed = capsys.readouterr()
    assert "clip.avi: 4 frames -> seen/clip.mp4 and clip.mp4.json" in printed.out and "no.mp4" in printed.err
    assert "1 of 1 images done" in printed.out
    rows = json.loads((here / "seen/clip.mp4.json").read_text())
    expected = list(tfrecog.load(runs / "segmenter").stream("clip.avi", every=3))
    assert [row.pop("frame") for row in rows] == [0, 3, 6, 9]
    assert [row.pop("seconds") for row in rows] == [0.0, 0.3, 0.6, 0.9]
    assert rows == [one.to_dict() for one in expected]
    written = cv2.VideoCapture(str(here / "seen/clip.mp4"))
    assert written.get(cv2.CAP_PROP_FRAME_COUNT) == 4 and written.get(cv2.CAP_PROP_FPS) == pytest.approx(
        10 / 3, rel=0.01
    )
    _, frame = written.read()
    drawn = np.asarray(expected[0].draw(0))
    assert np.abs(frame[:48, :64, ::-1].astype(int) - drawn[:48, :64]).mean() < 12  # MP4 changes colours a little.
    assert {path.name for path in (here / "seen").iterdir()} == {
        "clip.mp4", "clip.mp4.json", "photo.jpg", "predictions.json", "label_maps",
    }  # fmt: skip


def test_an_exported_file_predicts_as_its_run_does(runs, here, tmp_path):
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")
    model = tfrecog.load(runs / "classifier_digits")
    file = model.export("tflite", tmp_path / "model.tflite")
    seen = {}
    for name, source in (("run", runs / "classifier_digits"), ("file", file)):
        run("photo.jpg", f"--model={source}", f"--out={name}")
        (row,) = json.loads((here / name / "predictions.json").read_text())
        seen[name] = [one["category_name"] for one in row["classes"]]
    assert seen["run"] == seen["file"]
    for flag, message in (
        ("--data.eval_short_side=32", r"--data\.eval_short_side is a setting of a run"),
        ("--min_score=0.7", r"--min_score=0\.7: .* is not a detector"),
        ("--format=coco", "--format=coco: there are annotations of pictures, by detectors"),
        ("--checkpoint=best", "--checkpoint: only a run has such, and .* is an exported file; leave it out"),
    ):
        with pytest.raises(UserError, match=message):
            run("photo.jpg", f"--model={file}", flag)


def test_a_least_score_that_was_typed_is_not_taken_for_the_default(here, monkeypatch, capsys):
    """The default yields to the least score that an exported file can have."""
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")
    exported = flags.change(Experiment(), ["--detector.output.min_score=0.7"])
    file = stand_in.red_finder(here / "model.tflite", (96, 128), flags=flags.dumps(exported), min_score=0.7)
    (here / "mine.flags").write_text("--min_score=0.5\n")

    def typed(*arguments):
        monkeypatch.setattr(sys, "argv", ["tfrecog.predict", "photo.jpg", f"--model={file}", *arguments])
        with pytest.raises(SystemExit) as ended:
            command.run(predict.main, predict.Flags(), ("images",))
        return ended.value.code, capsys.readouterr().err

    assert typed()[0] == typed("--min_score=0.75")[0] == 0
    for arguments in (["--min_score=0.5"], ["--min_score", "0.5"], ["--flagfile=mine.flags"], ["--min_score=0.2"]):
        status, said = typed(*arguments)
        assert status == 2 and "has no detections with a score below 0.7" in said


def test_settings_on_the_command_line_stand_above_those_of_the_run(runs):
    given = ("--data.eval_short_side=32", f"--model={runs}/classifier_digits", "a.jpg", "--images=b.jpg", "c.jpg")
    flags = command.parse(predict.Flags(), given)
    assert flags.data.eval_short_side == 32 and flags.task == "classification"
    assert flags.workdir == str(runs / "classifier_digits") and flags.images == ("b.jpg", "a.jpg", "c.jpg")


def test_a_run_sets_only_its_own_settings(runs, here):
    """Its flagfile may be a stranger's, or of a run that lies elsewhere."""
    run_of = ("photo.jpg", f"--model={runs}/classifier_digits")
    (here / "copy").mkdir()
    of_run = (runs / "classifier_digits/experiment.flags").read_text()
    (here / "copy/experiment.flags").write_text(of_run)
    assert command.parse(predict.Flags(), ("photo.jpg", "--model=copy")).workdir == str(here / "copy")
    for flag in ("--out=elsewhere", "--images=more", "more", "--model=other"):
        (here / "copy/experiment.flags").write_text(f"{of_run}{flag}\n")
        with pytest.raises(UserError, match=r"--model=copy: .*copy/experiment\.flags: "):
            command.parse(predict.Flags(), ("photo.jpg", "--model=copy"))
    command.parse(predict.Flags(), (*run_of, f"--flagfile={runs}/classifier_digits/experiment.flags"))
    for flag in (f"--workdir={runs}/segmenter", f"--flagfile={runs}/segmenter/experiment.flags"):
        with pytest.raises(UserError, match="are two runs; leave one out"):
            command.parse(predict.Flags(), (*run_of, flag))


def test_an_address_is_kept_beside_what_was_seen(runs, here, capsys):
    serve = functools.partial(http.server.SimpleHTTPRequestHandler, directory=here / "more")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        run(f"{address}/a.png", f"{address}/below/b.png?size=3", f"--model={runs}/classifier_digits")
        with pytest.raises(UserError, match=r"/nothing\.png the server responds 404"):
            run(f"{address}/nothing.png", f"--model={runs}/classifier_digits")
        for wrong in (["--model=runs/mine"], ["foto.jpg"], ["--out=photo.jpg/seen"]):
            with pytest.raises((UserError, FileNotFoundError), match=r"runs/mine|foto\.jpg|no folder"):
                run(f"{address}/a.png", f"--model={runs}/classifier_digits", "--out=none", *wrong)
        few = f"{address}/a.png", "photo.jpg", f"--model={runs}/classifier_digits"
        run(*few, "--out=few")
        for wrong in (["--format=yolo"], ["--font=photo.jpg"]):
            with pytest.raises(UserError, match=r"--format=yolo|--font=photo\.jpg"):
                run(*few, "--out=none", *wrong)
        server.shutdown()
    assert {path.relative_to(here / "few").as_posix() for path in (here / "few").rglob("*.*")} == {
        "a.jpg", "photo.jpg", "predictions.json", "downloads/a.png",
    }  # fmt: skip
    assert (here / "seen/downloads/2/b.png").read_bytes() == (here / "more/below/b.png").read_bytes()
    assert len(json.loads((here / "seen/predictions.json").read_text())) == 2
    assert not (here / "none").exists(), "What is wrong here is said before a download."
    assert "2 of 2 images done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photo.jpg"], "--model: name a trained model"),
        (["--model=runs/mine"], "--images is missing"),
        (["photo.jpg", "--model=runs/mine"], "runs/mine is no model: give the folder of a run"),
        (["foto.jpg", "--model=runs/mine"], "--images: no file is named 'foto.jpg'"),
    ],
)
def test_what_is_missing_is_said(here, arguments, message):
    with pytest.raises((UserError, FileNotFoundError), match=message):
        run(*arguments)
