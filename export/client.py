"""Sends pictures to a server of export.serve, prints what it sees in them, and draws it.

python -m export.client --url=http://127.0.0.1:8080 --images='photos/*.jpg' --out=SEEN

needs no TensorFlow. The exit status is 1 if the server could not be reached, or refused one of the pictures.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Literal

from tfrecog.cli import command, files
from tfrecog.cli.errors import Status
from tfrecog.cli.facts import Fraction, Positive, Range
from tfrecog.inference.flags import DrawSide, Images


@dataclasses.dataclass(frozen=True)
class Flags:
    """Flags of the client."""

    images: Images = ""
    url: Annotated[str, "Address of the server's REST."] = "http://127.0.0.1:8080"
    name: Annotated[str, "Name of the model. Empty: the only one that the server has."] = ""
    protocol: Annotated[
        Literal["v1", "v2", "grpc"],
        "v1: TensorFlow Serving's REST. v2: KServe's, with tensors as bytes. grpc: KServe's.",
    ] = "v1"
    grpc_port: Annotated[int, "Port of the server's gRPC, on the host of --url.", Range(1, 65535)] = 8081
    out: Annotated[str, "Folder for a picture (JPEG) of each image with its results drawn. Empty: none is drawn."] = ""
    min_score: Annotated[
        float, "Detections with a lower score are left out; the server's own limit may be higher.", Fraction()
    ] = 0.5
    draw_side: DrawSide = 400
    timeout_s: Annotated[float, "Timeout of a request.", Positive("seconds")] = 60.0


def main(flags: Flags) -> int:
    """Sends, prints and draws."""
    from tfrecog.inference import image_files

    from .artifact.metadata import pixel_ranges
    from .server import client_protocols, client_results

    paths = image_files.find(flags.images)
    pictures = image_files.picture_paths(paths, Path(flags.out)) if flags.out else []
    if flags.out:
        files.check(flags.out, f"--out={flags.out}")
    url = flags.url.rstrip("/")
    model = client_protocols.model_metadata(url, flags.name, flags.timeout_s)
    predict = client_protocols.predictor(flags.protocol, url, flags.grpc_port, model["name"], flags.timeout_s)
    metadata, failed = model["parameters"], 0
    for number, path in enumerate(paths):
        try:
            answer = predict(image_files.content(path))
            with client_protocols.understood(url):
                answer = client_results.sure(answer, flags.min_score)
                height, width = answer["image_size"]
                lines = client_results.table(answer, metadata["classes"])
            print(f"{path} ({width} x {height})\n" + "".join(f"  {line}\n" for line in lines))
            if flags.out:
                picture = image_files.load(path, pixel_ranges(metadata))
                with client_protocols.understood(url):
                    picture = client_results.drawn(picture, answer, metadata, flags.draw_side)
                image_files.save(picture, pictures[number])
        except (*image_files.UNREADABLE, client_protocols.RequestFailed) as error:
            if isinstance(error, client_protocols.RequestFailed) and not error.reached:
                raise  # The others would not reach it either.
            print(f"{path}: {error}", file=sys.stderr)
            failed += 1
    if flags.out and failed < len(paths):
        print(f"{len(paths) - failed} pictures are in {flags.out}")
    if failed:
        print(f"error: {failed} of {len(paths)} pictures failed", file=sys.stderr)
    return Status.FAILED if failed else Status.DONE


if __name__ == "__main__":
    command.run(main, Flags(), required=("images",))
