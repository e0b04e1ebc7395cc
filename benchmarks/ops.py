"""Times region, suppression and mask operations, beside torchvision's if PEER_PYTHON names an interpreter that has it.

    PEER_PYTHON=/path/to/python python -m benchmarks.ops [--repeats 7] [--json ops.json] [CASE ...]

Each case runs in a fresh process of ours and one of the peer's, which take turns on the same arrays. A line shows the
medians, ours / the peer's (below 1: ours is faster), and the peak memory of the process and what the runs added to it.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

HEIGHT, WIDTH, CHANNELS, ROIS = 800, 1216, 256, 1000
CASES = (
    "roi_align_p2",
    "roi_align_p2+backward",
    "roi_align_pyramid",
    "roi_align_pyramid+backward",
    "roi_pool_c4",
    "roi_pool_c4+backward",
    "roi_pool_p2",
    "roi_pool_p2+backward",
    "rpn_nms",
    "class_nms",
    "paste",
    "paste_to_runs",
)


def arrays(case, seed=0):
    """Inputs of a case: dict of NumPy arrays, boxes [n, 4] as y1, x1, y2, x2."""
    rng = np.random.default_rng(seed)
    if case.startswith("roi"):
        levels = {"p2": [2], "c4": [4], "pyramid": [2, 3, 4, 5]}[case.partition("+")[0].rpartition("_")[2]]
        maps = {f"map{k}": _normal(rng, 1, HEIGHT >> k, WIDTH >> k, CHANNELS) for k in levels}
        out = {**maps, "boxes": _boxes(rng, ROIS), "stride": np.float32(2 ** levels[0])}
        if case.endswith("+backward"):
            out["upstream"] = _normal(rng, ROIS, 7, 7, CHANNELS)
        return out
    if case == "rpn_nms":  # 2000 proposals of each level, all 741 of the last
        boxes = _boxes(rng, 400)[rng.integers(0, 400, 8741)] + rng.normal(0, 6, (8741, 4)).astype(np.float32)
        groups = np.minimum(np.arange(8741) // 2000, 4)
        return {"boxes": boxes, "scores": rng.normal(size=8741).astype(np.float32), "groups": groups}
    if case == "class_nms":  # 1000 rois and 90 classes: a few classes of each roi are likely
        boxes = _boxes(rng, 50)[rng.integers(0, 50, 1000)][:, None]
        boxes = boxes + rng.normal(0, 6, (1000, 90, 4)).astype(np.float32)
        logits = rng.normal(0, 2.5, (1000, 90))
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        groups = np.tile(np.arange(90), 1000)
        return {"boxes": boxes.reshape(-1, 4), "scores": scores.astype(np.float32).ravel(), "groups": groups}
    return {"masks": _smooth(rng, 100), "boxes": _boxes(rng, 100)}


def _normal(rng, *shape):
    return rng.standard_normal(shape, np.float32)


def _smooth(rng, count):
    """Masks [count, 28, 28] of probabilities: blobs."""
    y, x = (np.arange(28) - 13.5) / 14, (np.arange(28) - 13.5)[:, None] / 14
    radius = rng.uniform(0.5, 1.1, (count, 1, 1)) + 0.2 * rng.normal(size=(count, 28, 1))
    return (1 / (1 + np.exp(8 * (np.hypot(y, x)[None] - radius)))).astype(np.float32)


def _boxes(rng, count):
    """Boxes [count, 4] of 16 to 600 pixels, cut to the image."""
    side = np.exp(rng.uniform(np.log(16), np.log(600), (count, 1)))
    half = side * np.exp(rng.uniform(-0.35, 0.35, (count, 1)) * [[1, -1]]) / 2
    centre = rng.uniform(0, 1, (count, 2)) * [HEIGHT, WIDTH]
    corners = np.concatenate([centre - half, centre + half], axis=1)
    return np.clip(corners, 0, [HEIGHT, WIDTH, HEIGHT, WIDTH]).astype(np.float32)


def ours(case, arrays):
    """The function to time."""
    import tensorflow as tf

    from tfrecog.ops import masks, regions, suppression

    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    if case == "paste_to_runs":
        return lambda: masks.paste_into_runs(arrays["masks"], arrays["boxes"], HEIGHT, WIDTH)
    inputs = {name: tf.constant(array) for name, array in arrays.items()}
    boxes = inputs["boxes"]
    maps = {int(name[3:]): m for name, m in inputs.items() if name.startswith("map")}

    def pool():
        if "pyramid" in case:  # torchvision's pyramid places samples without the half-cell correction.
            return regions.multilevel(maps, boxes[None], size=7, samples=2, aligned=False)
        op = regions.roi_align if "align" in case else regions.roi_pool
        return op(*maps.values(), boxes[None], size=7, stride=float(arrays["stride"]))

    def pool_with_gradient():
        with tf.GradientTape() as tape:
            tape.watch(maps)
            out = pool()
        return out, tape.gradient(out, maps, inputs["upstream"][None])

    def rpn_nms():
        return suppression.nms_by_group(boxes, inputs["scores"], inputs["groups"], 0.7, 1000)

    def class_nms():
        scores = tf.where(inputs["scores"] > 0.05, inputs["scores"], -np.inf)
        return suppression.nms_by_group(boxes, scores, inputs["groups"], 0.5, 100)

    def paste():
        return masks.paste(inputs["masks"], boxes, HEIGHT, WIDTH)

    named = {"rpn_nms": rpn_nms, "class_nms": class_nms, "paste": paste}
    return tf.function(named.get(case, pool_with_gradient if case.endswith("+backward") else pool))


def serve(case, path):
    """One timed run for each line on standard input."""
    with np.load(path) as stored:
        run = ours(case, dict(stored))
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in sys.stdin:
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"seconds": seconds, "peak_mb": peak / 1024, "added_mb": (peak - idle) / 1024}), flush=True)


def measure(case, repeats=7, peer_python=None):
    """Medians over `repeats` alternating runs (after one of each to warm up): dict for our side and the peer's."""
    here = pathlib.Path(__file__).resolve()
    commands = {"ours": [sys.executable, "-m", "benchmarks.ops", "--serve"]}
    if peer_python:
        commands["peer"] = [peer_python, str(here.with_name("peer_ops.py"))]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "arrays.npz")
        np.savez(path, **arrays(case))
        servers = {
            side: subprocess.Popen(
                [*command, case, path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if os.environ.get("VERBOSE") else subprocess.DEVNULL,
                text=True,
                cwd=here.parents[1],
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            )
            for side, command in commands.items()
        }
        runs = {side: [] for side in servers}
        try:
            for _ in range(repeats + 1):
                for side, server in servers.items():
                    server.stdin.write("run\n")
                    server.stdin.flush()
                    line = server.stdout.readline()
                    if not line:
                        raise RuntimeError(f"{case}: the {side} process ended early; VERBOSE=1 shows why.")
                    runs[side].append(json.loads(line))
        finally:
            for server in servers.values():
                server.stdin.close()
                server.wait()
    result = {"case": case}
    for side, measured in runs.items():
        seconds = [r["seconds"] for r in measured[1:]]
        result[side] = {**measured[-1], "seconds": statistics.median(seconds), "all_seconds": seconds}
    if "peer" in result:
        result["ratio"] = result["ours"]["seconds"] / result["peer"]["seconds"]
    return result


def table(results):
    """Results as lines of text."""
    lines = [
        f"{'case':28} {'ours ms':>9} {'peer ms':>9} {'ratio':>6} {'ours MB (+added)':>18} {'peer MB (+added)':>18}"
    ]
    for result in results:
        ours, peer = result["ours"], result.get("peer")
        memory = [f"{s['peak_mb']:.0f} (+{s['added_mb']:.0f})" if s else "" for s in (ours, peer)]
        times = f"{peer['seconds'] * 1e3:9.1f} {result['ratio']:6.3f}" if peer else f"{'':9} {'':6}"
        lines.append(f"{result['case']:28} {ours['seconds'] * 1e3:9.1f} {times} {memory[0]:>18} {memory[1]:>18}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=CASES, help=f"of {', '.join(CASES)}")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", help="write the results here")
    options = parser.parse_args()
    results = []
    for case in options.cases:
        results.append(measure(case, options.repeats, os.environ.get("PEER_PYTHON")))
        print(table(results[-1:]) if len(results) == 1 else table(results[-1:]).splitlines()[1], flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
    else:
        main()
