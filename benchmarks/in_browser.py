"""The answers of a page of export.web in Chromium beside those of `tfrecog.predict`, how long they take, and memory.

  python -m benchmarks.in_browser --site=site --model=model.tflite --images='photos/*.jpg' [--count=20] [--gpu]
      [--photos=200]

Prints the largest differences of the same detections (of one class, the nearest boxes), scores and label maps, and the
least IoU of masks. The page is given the files as they are. With --gpu it runs on WebGPU, in software (SwiftShader),
which says nothing of speed. With --photos it then sees so many, the same again and again, and memory is printed.
"""

import argparse
import functools
import glob
import http.server
import json
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks import machine
from export.litert.reader import LiteModel
from tests import browser
from tfrecog.data import image_numpy
from tfrecog.ops import rle

WEBGPU = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
LOOKS = (1, 5, 10, 20, 50, 100, 200, 500)  # photos after which memory is looked at


class Handler(http.server.SimpleHTTPRequestHandler):
    """The files of a site, and the photos as /photo/NUMBER."""

    def __init__(self, *arguments, photos, **options):
        self.photos = photos
        super().__init__(*arguments, **options)

    def translate_path(self, path):
        folder, _, number = path[1:].partition("/")
        return self.photos[int(number)] if folder == "photo" else super().translate_path(path)

    def log_message(self, *_):
        pass


def see(tab, number: int) -> dict:
    """The page's answer to a photo."""
    tab.value(f"(async () => see(await (await fetch('photo/{number}')).blob()))()")
    if problem := tab.value("$('problem').textContent"):
        raise SystemExit(problem)
    text = tab.value("JSON.stringify(shown.answer, (_, one) => ArrayBuffer.isView(one) ? Array.from(one) : one)")
    return json.loads(text)


def differences(got: dict, expected: dict, min_score: float) -> dict:
    """What differs in a picture, by name."""
    if "boxes" not in expected:
        if "labels" in expected:
            return {"pixels of label maps": np.mean(np.array(got["labels"]) != expected["labels"])}
        return {"scores": np.abs(np.sort(expected["scores"])[::-1][:5] - got["class_scores"]).max()}
    found = {
        "detections": 0,
        "without partner": 0,
        "boxes": 0.0,
        "scores": 0.0,
        "keypoints": 0.0,
        "masks, 1 - IoU": 0.0,
    }
    boxes, labels = np.reshape(got["detection_boxes"], [-1, 4]), np.array(got["detection_classes"])
    free = np.ones(len(boxes), bool)
    for i in np.flatnonzero(expected["scores"] > min_score):
        apart = np.where(
            free & (labels == expected["labels"][i]), np.abs(boxes - expected["boxes"][i]).max(axis=1), 1e9
        )
        partner = int(apart.argmin()) if len(apart) else -1
        if partner < 0 or apart[partner] > 1:
            found["without partner"] += 1
            continue
        free[partner] = False
        parts = {"boxes": apart[partner], "scores": abs(got["detection_scores"][partner] - expected["scores"][i])}
        if "keypoints" in expected:
            parts["keypoints"] = np.abs(got["detection_keypoints"][partner] - expected["keypoints"][i])[:, :2].max()
        if "masks" in expected:
            mask = got["detection_masks"][partner]
            one, other = (rle.decode(runs, *mask["size"]) for runs in (mask["counts"], expected["masks"][i]))
            parts["masks, 1 - IoU"] = (
                1 - (one & other).sum() / max((one | other).sum(), 1) if (one | other).any() else 0
            )
        found |= {name: max(found[name], value) for name, value in parts.items()}
        found["detections"] += 1
    found["without partner"] += int(free.sum())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_browser")
    parser.add_argument("--site", required=True)
    parser.add_argument("--model", required=True, help="the TFLite file of the site")
    parser.add_argument("--images", required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--photos", type=int, default=0)
    parser.add_argument("--gpu", action="store_true")
    options = parser.parse_args()
    model, photos = LiteModel(options.model), sorted(glob.glob(options.images))[: options.count]
    handler = functools.partial(Handler, photos=photos, directory=options.site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    facts = machine.facts()
    print(f"{facts['processor']}, commit {facts['commit']}, load {facts['load_before']:.1f}, {len(photos)} photos")
    with browser.browser(
        "--js-flags=--expose-gc", "--enable-precise-memory-info", *(WEBGPU if options.gpu else ())
    ) as tab:
        start = time.perf_counter()
        tab.open(f"http://127.0.0.1:{server.server_port}/", "!!about || !!$('problem').textContent")
        if problem := tab.value("$('problem').textContent"):
            raise SystemExit(problem)
        see(tab, 0)
        print(f"first answer, on the CPU, {time.perf_counter() - start:.1f} s after the address")
        if options.gpu:
            print(tab.value("inTurn(() => move('webgpu')).then(() => $('status').textContent)"))
        worst: dict[str, float] = {}
        for number, path in enumerate(photos):
            expected = model.predict(image_numpy.decode(Path(path).read_bytes(), upright=True))
            for name, value in differences(see(tab, number), expected, model.metadata["min_score"]).items():
                counted = name in ("detections", "without partner")
                worst[name] = worst.get(name, 0) + value if counted else max(worst.get(name, 0), value)
        print(
            ", ".join(f"{name}: {value:.2g}" if value % 1 else f"{name}: {value:.0f}" for name, value in worst.items())
        )
        print("the last:", tab.value("$('status').textContent"))
        for number in range(options.photos):
            see(tab, number % len(photos))
            if number + 1 in LOOKS:
                tab.value("gc()")
                heap = tab.value("performance.memory.usedJSHeapSize") / 1e6
                wasm = tab.value("litert.getGlobalLiteRt().liteRtWasm.HEAPU8.length") / 1e6
                print(f"after {number + 1} photos {heap:.0f} MB of JavaScript, {wasm:.0f} MB of WebAssembly")


if __name__ == "__main__":
    main()
