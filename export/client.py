"""Sends pictures to a server of export.serve, prints what it sees in them, and draws it.

python -m export.client --url=http://127.0.0.1:8080 photos/*.jpg --out=SEEN
"""

import dataclasses
import sys
import urllib.parse
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from absl import flags as absl_flags

from tfrecog.cli import files, flags, signals, validate
from tfrecog.cli.facts import Fraction, NonNegative, Positive, Range
from tfrecog.drawing import annotations
from tfrecog.inference import image_files, result_files
from tfrecog.ops import rle

from .server import client_protocols


@dataclasses.dataclass(frozen=True)
class Client:
    """Flags of the client; what has no -- in front is a picture, a folder of them, or a pattern."""

    url: Annotated[str, "Address of the server's REST."] = "http://127.0.0.1:8080"
    name: Annotated[str, "Name of the model. Empty: the only one that the server has."] = ""
    protocol: Annotated[
        Literal["v1", "v2", "grpc"],
        "v1: TensorFlow Serving's REST. v2: KServe's, with tensors as bytes. grpc: KServe's.",
    ] = "v1"
    grpc_port: Annotated[int, "Port of the server's gRPC, on the host of --url.", Range(1, 65535)] = 8081
    out: Annotated[str, "Folder for a picture (JPEG) of what is seen in each image. Empty: none is drawn."] = ""
    min_score: Annotated[
        float, "Detections with a lower score are left out; the server's own limit may be higher.", Fraction()
    ] = 0.5
    draw_side: Annotated[
        int,
        "Small images are enlarged by a whole factor, for drawing only, until no side is shorter. 0: never.",
        NonNegative("pixels"),
    ] = 400
    timeout_s: Annotated[float, "How long to wait for an answer.", Positive("seconds")] = 60.0


def kept(answer: dict[str, Any], min_score: float) -> dict[str, Any]:
    """An answer without the detections whose score is lower; that of another task is as it was."""
    if "detection_scores" not in answer:
        return answer
    places = [i for i, score in enumerate(answer["detection_scores"]) if score >= min_score]
    names = [name for name in answer if name.startswith("detection_")]
    return answer | {name: [answer[name][i] for i in places] for name in names}


def table(answer: dict[str, Any], classes: list[dict]) -> list[str]:
    """Lines that say what an answer says."""
    if "detection_boxes" in answer:
        rows = zip(answer["detection_class_names"], answer["detection_scores"], answer["detection_boxes"], strict=True)
        lines = [f"{name:20} {score:6.1%}  " + "".join(f"{side:9.1f}" for side in box) for name, score, box in rows]
        return [f"{'class':20}  score  {'y1':>9}{'x1':>9}{'y2':>9}{'x2':>9}", *lines] if lines else ["nothing"]
    if "labels" in answer:
        labels = np.asarray(answer["labels"], int)
        counts = np.bincount(labels.ravel(), minlength=len(classes) + 1)
        order = [label for label in np.argsort(-counts, kind="stable") if label and counts[label]]
        return [f"{classes[label - 1]['name']:20} {counts[label] / labels.size:6.1%} of the picture" for label in order]
    return [f"{name:20} {score:6.1%}" for name, score in zip(answer["classes"], answer["class_scores"], strict=True)]


def drawn(picture: np.ndarray, answer: dict[str, Any], about: dict[str, Any], min_side: int) -> np.ndarray:
    """Picture uint8 [h, w, 3] of an image uint8 [H, W, 3] with what an answer says of it.

    Args:
        about: the model's metadata: classes, skeleton, flip_pairs.
    """
    names = [one["name"] for one in about["classes"]]
    if "detection_boxes" in answer:
        masks = None
        if "detection_masks" in answer:
            masks = [rle.decode(*rle.from_coco(mask)) for mask in answer["detection_masks"]]
        keypoints = answer.get("detection_keypoints")
        if keypoints is not None and len(keypoints):
            keypoints = annotations.sure_keypoints(np.asarray(keypoints, float))
        return annotations.instances(
            picture, np.asarray(answer["detection_boxes"], float).reshape(-1, 4),
            np.asarray(answer["detection_classes"]), np.asarray(answer["detection_scores"]), masks, keypoints, names,
            skeleton=about.get("skeleton", ()), flip_pairs=about.get("flip_pairs", ()), min_side=min_side,
        )  # fmt: skip
    if "labels" in answer:
        colours = [tuple(one["colour"]) if one["colour"] else None for one in about["classes"]]
        return annotations.label_map(picture, np.asarray(answer["labels"]), names, colours, min_side=min_side)
    return result_files.written_on(picture, [line.strip() for line in table(answer, about["classes"])], min_side)


def main(client: Client, images: list[str]) -> None:
    """Asks and reports; what the user can mend ends the program with a message."""
    try:
        if not images:
            raise ValueError("name the pictures, as in `python -m export.client photos/*.jpg`")
        validate.check(client)
        paths = image_files.among(images)
        pictures = image_files.picture_paths(paths, Path(client.out)) if client.out else []
        if client.out:
            files.check(client.out, f"--out={client.out}")
        url = client.url.rstrip("/")
        said = client_protocols.about(url, client.name, client.timeout_s)
        about = said["parameters"]
        see = _asker(client, url, said["name"])
    except (OSError, ValueError, client_protocols.NoAnswer) as error:
        sys.exit(f"error: {error}")
    failed = 0
    for number, path in enumerate(paths):
        try:
            answer = kept(see(path.read_bytes()), client.min_score)
            height, width = answer["image_size"]
            print(f"{path} ({width} x {height})\n" + "".join(f"  {line}\n" for line in table(answer, about["classes"])))
            if client.out:
                image_files.save(drawn(image_files.load(path), answer, about, client.draw_side), pictures[number])
        except client_protocols.NoAnswer as error:
            if not error.reached:
                sys.exit(f"error: {error}")
            print(f"{path}: {error}", file=sys.stderr)
            failed += 1
        except OSError as error:
            print(f"{path}: {error}", file=sys.stderr)
            failed += 1
    if client.out and failed < len(paths):
        print(f"{len(paths) - failed} pictures are in {client.out}")
    if failed:
        sys.exit(f"error: {failed} of {len(paths)} pictures could not be done")


def _asker(client: Client, url: str, name: str):
    if client.protocol == "grpc":
        host = client_protocols.bracketed(urllib.parse.urlsplit(url).hostname or "127.0.0.1")
        return partial(client_protocols.by_grpc, f"{host}:{client.grpc_port}", name, timeout=client.timeout_s)
    return partial(
        {"v1": client_protocols.by_v1, "v2": client_protocols.by_v2}[client.protocol],
        url,
        name,
        timeout=client.timeout_s,
    )


def arguments(argv: list[str]) -> tuple[Client, list[str]]:
    """Flags and pictures of a command line, in any order."""
    if {"--help", "-h", "-help", "--helpfull"} & set(argv[1:]):
        print(flags.help_text(Client()))
        sys.exit(0)
    flags.define(Client())
    absl_flags.FLAGS.set_gnu_getopt(True)
    try:
        rest = flags.assign(argv)
    except flags.Error as error:
        sys.exit(f"{error}\nAll flags: add --help.")
    return flags.read(Client()), rest[1:]


if __name__ == "__main__":
    with signals.told():
        main(*arguments(sys.argv))
