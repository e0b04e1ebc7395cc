"""A page that runs a model in the browser: what the command writes, and what a headless Chromium computes with it."""

import functools
import http.server
import json
import os
import re
import tarfile
import threading

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

from export import web
from export.litert import metadata as lite_metadata
from export.litert.reader import LiteModel
from export.site import litert_js, write
from tests import browser
from tests.export import browsers, commands, served_folders, stand_in
from tests.matrices import representatives
from tests.processes import until
from tfrecog.cli.errors import UserError
from tfrecog.data import image_numpy
from tfrecog.ops import rle

HOSTILE = "</script><script>document.body.className = 'mine'</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def finder(tmp_path_factory):
    path = tmp_path_factory.mktemp("finder") / "model.tflite"
    return stand_in.red_finder(path, (96, 128), name=HOSTILE, classes=[{"id": i, "name": HOSTILE} for i in (1, 2)])


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """A folder with archives in the place of LiteRT.js, whose files say their own names."""
    folder = tmp_path / "archives"
    folder.mkdir()
    for package in litert_js.DIGESTS:
        with tarfile.open(folder / f"litertjs-{package}-{litert_js.VERSION}.tgz", "w:gz") as archive:
            for name, path in litert_js.FILES.values():
                if name == package:
                    (tmp_path / "file").write_text(path)
                    archive.add(tmp_path / "file", f"package/{path}")
    monkeypatch.setattr(litert_js, "DIGESTS", {name: litert_js.digest(litert_js.path(folder, name).read_bytes())
                                               for name in litert_js.DIGESTS})  # fmt: skip
    return folder


def test_a_site_has_the_page_the_model_and_its_runtime_and_names_stay_text(finder, archives, tmp_path, capsys):
    out = tmp_path / "new" / "site"
    commands.run(web, model=finder, out=out, litert=archives)
    assert "python -m http.server --directory=" in capsys.readouterr().out
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {"index.html", "model.json", "model.tflite", "litert/NOTICE"} | {
        f"litert/{name}" for name in litert_js.FILES
    }
    assert (out / "model.tflite").read_bytes() == finder.read_bytes()
    assert (out / "litert/wasm/litert_wasm_jspi_internal.js").read_text() == "wasm/litert_wasm_jspi_internal.js"
    described = json.loads((out / "model.json").read_text())
    assert described["title"] == described["classes"][0]["name"] == HOSTILE
    assert described["input"] == {"dtype": "uint8", "size": [96, 128], "fit": "pad", "short_side": None}
    assert "flags" not in described  # They name folders of the machine that trained it.
    html = (out / "index.html").read_text()
    assert HOSTILE not in html and not re.search(r"innerHTML|https?://(?!localhost)", html)
    assert "connect-src &#39;self&#39;" in html and "default-src &#39;none&#39;" in html
    (module,) = json.loads(re.search(r'"importmap">(.*?)</script>', html)[1])["imports"].values()
    assert (out / module).is_file()


def test_a_site_replaces_a_site_alone(finder, archives, tmp_path):
    out, given = tmp_path / "site", {"model": finder, "litert": archives}
    commands.run(web, out=out, **given)
    with pytest.raises(UserError, match="exists: choose another folder, or give --overwrite"):
        commands.run(web, out=out, **given)
    commands.run(web, out=out, overwrite=True, title="Cats", **given)
    assert json.loads((out / "model.json").read_text())["title"] == "Cats"
    (out / "thesis.txt").write_text("all of it")
    with pytest.raises(UserError, match=r"has thesis\.txt, which is no file of a site"):
        commands.run(web, out=out, overwrite=True, **given)
    with pytest.raises(UserError, match="is a file"):
        commands.run(web, out=out / "thesis.txt", **given)
    assert (out / "thesis.txt").read_text() == "all of it" and not [*tmp_path.glob(".draft*")]


def test_another_archive_is_refused_and_nothing_is_written(finder, archives, tmp_path):
    path = litert_js.path(archives, "core")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(
        UserError, match=r"litertjs-core-.*tgz is not the archive of LiteRT.js .*`npm pack @litertjs/core"
    ):
        commands.run(web, model=finder, out=tmp_path / "site", litert=archives)
    path.unlink()
    with pytest.raises(UserError, match="is missing: type `npm pack @litertjs/core@"):
        commands.run(web, model=finder, out=tmp_path / "site", litert=archives)
    assert not (tmp_path / "site").exists()


def test_without_npm_or_a_network_a_sentence_says_what_to_type(finder, tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(UserError, match=r"npm, which has LiteRT.js, is not installed: .* `npm pack .* --litert"):
        commands.run(web, model=finder, out=tmp_path / "site")
    (programs / "npm").write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    (programs / "npm").chmod(0o755)
    with pytest.raises(UserError, match=r"npm cannot download LiteRT.js \(npm error code ENOTFOUND\): .* --litert"):
        commands.run(web, model=finder, out=tmp_path / "site")


def test_npm_is_asked_for_the_two_packages_of_one_version(archives, finder, tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "npm").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n/bin/cp {archives}/* "$5"\n')
    (programs / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    commands.run(web, model=finder, out=tmp_path / "site")
    words = (tmp_path / "asked").read_text().split()
    assert words[0] == "pack" and words[-2:] == [
        f"@litertjs/{name}@{litert_js.VERSION}" for name in ("core", "wasm-utils")
    ]
    assert (tmp_path / "site/litert/core.js").is_file()


def test_models_that_a_page_cannot_feed_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"name a file that ends in \.tflite"):
        commands.run(web, model="model.onnx", out=tmp_path / "site")
    model = stand_in.grays(tmp_path / "model.tflite", (20, 40))
    loaded = LiteModel(model)
    loaded.metadata["orientation"] = "file"
    with pytest.raises(UserError, match="as their files store them"):
        write.described(loaded, "")
    loaded.metadata["tflite"]["for"] = "mediapipe"
    with pytest.raises(UserError, match="is for mediapipe, and a page reads other outputs: export it again without"):
        write.described(loaded, "")
    loaded = LiteModel(model)
    loaded._outputs["labels"]["quantization"] = (0.5, -128)
    with pytest.raises(UserError, match=r"outputs labels as int8, of which LiteRT.js .* --quantize=int8"):
        write.described(loaded, "")


@pytest.fixture(scope="module")
def library():
    """The files of LiteRT.js."""
    if browser.CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    pytest.importorskip("websockets", reason="websockets, of the server's extra, is not installed")
    try:
        return litert_js.files(os.environ.get("LITERT_JS", ""))
    except UserError as error:
        pytest.skip(f"LiteRT.js is not to be had: {error}")


@pytest.fixture
def opened(library, tmp_path):
    """Opens the site of a model: (path) → a context of a tab with it."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    def of(model, tab):
        out = tmp_path / "site"
        write.write(LiteModel(model), "", out, library)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(out)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        tab.call("Network.enable")
        tab.open(f"http://127.0.0.1:{server.server_port}/", "!!about || !!$('problem').textContent")
        assert tab.value("$('problem').textContent") == ""

    servers: list[http.server.ThreadingHTTPServer] = []
    yield of
    for server in servers:
        server.shutdown()
        server.server_close()


def answer(tab):
    return json.loads(tab.value("JSON.stringify(shown.answer, (_, one) => ArrayBuffer.isView(one) ? [...one] : one)"))


def photos():
    """Files of pictures of several sizes with edges everywhere, without loss; viewers turn the last."""
    exif = Image.Exif()
    exif[0x112] = 6
    for number, size in enumerate([(70, 101), (40, 30), (130, 90)]):
        cells = np.random.default_rng(number).integers(0, 256, [size[0] // 5, size[1] // 5, 3]).astype(np.uint8)
        pixels = cells.repeat(5, 0).repeat(5, 1)
        turned = {"exif": exif} if number == 2 else {}
        yield served_folders.encoded(pixels, "PNG", **turned)


@pytest.fixture
def model(request, tmp_path):
    """A TFLite file by a name: of a smoke recipe with random weights, or a stand-in for one."""
    path = tmp_path / "model.tflite"
    if request.param == "grays":
        return stand_in.grays(path, (20, 40))
    made = request.getfixturevalue("exported")(request.param)
    given = made.given | FITS[request.param]
    path.write_bytes(lite_metadata.attach(made.content, made.described(tflite={"quantize": "none", "input": given})))
    return path


FITS = {
    "mask_rcnn": {"fit": "pad"},  # with keypoints
    "classifier_digits": {"fit": "middle", "short_side": 30},
    "segmenter": {"fit": "stretch"},
}


@pytest.mark.parametrize(
    "model", representatives([*FITS, "grays"], "mask_rcnn", "classifier_digits", "grays"), indirect=True
)
def test_the_browser_sees_what_predict_sees(model, opened):
    model, seen = LiteModel(model), 0
    with browsers.browser() as tab:
        opened(model.path, tab)
        tab.value("""(() => {
            const tensor = litert.Tensor.prototype, free = tensor.delete;
            window.freed = 0;
            tensor.delete = function () { window.freed++; free.call(this); };
        })()""")  # fmt: skip
        for content in photos():
            picture = image_numpy.decode(content, upright=True)
            expected = model.predict(picture)
            tab.drop(content)
            got = answer(tab)
            assert got["image_size"] == list(picture.shape[:2])
            seen += compare(got, expected, model.metadata)
        inputs, outputs = model.tensors
        assert tab.value("freed") == 3 * (len(inputs) + len(outputs))  # LiteRT.js frees nothing by itself.
        origin = tab.value("location.origin")
        asked = [one["params"]["request"]["url"] for one in tab.events if one["method"] == "Network.requestWillBeSent"]
        assert asked and all(url.startswith((origin, "data:", "blob:")) for url in asked)
    assert seen > 2


def compare(got, expected, described):
    """How many results of a picture agree; all have to."""
    if "boxes" in expected:
        sure = expected["scores"] > described["min_score"]
        boxes, scores, labels = (expected[name][sure] for name in ("boxes", "scores", "labels"))
        np.testing.assert_allclose(np.reshape(got["detection_boxes"], [-1, 4]), boxes, atol=0.05)
        np.testing.assert_allclose(got["detection_scores"], scores, atol=1e-4)
        assert got["detection_classes"] == labels.tolist()
        np.testing.assert_allclose(np.reshape(got["detection_keypoints"], [-1, 3, 3])[..., :2],
                                   expected["keypoints"][sure][..., :2], atol=0.05)  # fmt: skip
        for mask, runs in zip(got["detection_masks"], expected["masks"], strict=False):
            one, other = rle.decode(mask["counts"], *mask["size"]), rle.decode(runs, *mask["size"])
            assert (one & other).sum() >= 0.99 * (one | other).sum()
        return len(boxes)
    if "scores" in expected:
        np.testing.assert_allclose(got["class_scores"], np.sort(expected["scores"])[::-1][:5], atol=1e-4)
        return len(got["classes"])
    assert np.mean(np.array(got["labels"]) != expected["labels"]) < 1e-3
    return len(np.unique(expected["labels"]))


def test_a_person_uses_the_page_and_names_are_text(finder, opened):
    box = (20, 30, 80, 60)
    scene = served_folders.picture(100, 120, box)
    with browsers.browser() as tab:
        opened(finder, tab)
        assert tab.value("$('title').textContent") == HOSTILE and tab.value("document.body.className") == ""
        tab.drop(served_folders.encoded(scene))
        assert len(tab.rows()) == 1 and tab.rows()[0] == f"{HOSTILE}\t80.0 %"
        assert tab.value("document.images.length + document.scripts.length") == tab.value("document.scripts.length")
        tab.value("$('threshold').value = 0.25; $('threshold').oninput()")
        assert len(tab.rows()) == 2
        inside, outside = tab.pixel(60, 45), tab.pixel(90, 100)
        assert outside == list(map(int, scene[90, 100])) and inside != list(map(int, scene[60, 45]))
        tab.call("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0)
        tab.drop(b"no picture")
        assert "cannot read this as a picture" in tab.value("$('problem').textContent") and tab.rows() == []
        tab.drop(served_folders.encoded(scene))
        assert len(tab.rows()) == 2
        tab.value("$('camera').click()")
        until(lambda: tab.value("!!stream && turns > 4 && !!shown"), seconds=60)
        tab.value("$('camera').click()")
        assert tab.value("stream") is None
        tab.call(
            "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )
        assert tab.value("$('where_label').hidden")  # This browser has no GPU; were it asked for all the same:
        tab.value("inTurn(() => move('webgpu'))")
        assert re.match(
            r"The model does not run on the GPU \(.+\): it runs on the CPU", tab.value("$('status').textContent")
        )
        tab.drop(served_folders.encoded(scene))
        assert len(tab.rows()) == 2 and "on the CPU" in tab.value("$('status').textContent")
        tab.value("where = 'webgpu'; network.run = async () => { throw new Error('device lost') }")
        tab.drop(served_folders.encoded(scene))
        assert (
            tab.value("$('status').textContent").startswith("the GPU failed (device lost); ") and len(tab.rows()) == 2
        )
