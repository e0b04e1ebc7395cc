"""Sends pictures to a server of export.serve, prints what it sees in them, and writes it as tfrecog.predict does.

python -m export.client --url=http://127.0.0.1:8080 --images='photos/*.jpg' --out=SEEN

needs no TensorFlow. The exit status is 1 if the server could not be reached, or refused one of the pictures.
"""

import collections
import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from tfrecog.cli import command, files
from tfrecog.cli.errors import Status
from tfrecog.cli.facts import Fraction, Positive, Range, Unless, Urls
from tfrecog.data.info import DatasetInfo
from tfrecog.inference.flags import MIN_SCORE, DrawSide, FontFile, Images, Results


@dataclasses.dataclass(frozen=True)
class Flags:
    """Flags of the client."""

    images: Images = ""
    url: Annotated[str, "Address of the server's REST; http:// may be left out.", Urls()] = "http://127.0.0.1:8080"
    name: Annotated[str, "Name of the model. Empty: the only one that the server has."] = ""
    protocol: Annotated[
        Literal["v1", "v2", "grpc"],
        "v1: TensorFlow Serving's REST. v2: KServe's, with tensors as bytes. grpc: KServe's.",
    ] = "v1"
    grpc_port: Annotated[int, "Port of the server's gRPC, on the host of --url.", Range(1, 65535)] = 8081
    tls_ca: Annotated[
        str, "Certificates in PEM by which a server at https:// is known. Empty: those of the system."
    ] = ""
    tls_cert: Annotated[str, "Certificate of this client, in PEM, for a server that asks for one."] = ""
    tls_key: Annotated[str, "Its key, in PEM. Empty: it is in --tls_cert."] = ""
    out: Results = ""
    min_score: Annotated[
        float, "Detections have a higher score than this; the server's own limit may be higher.", Fraction()
    ] = MIN_SCORE
    draw_side: DrawSide = 400
    font: Annotated[FontFile, Unless(".out", "")] = ""
    timeout_s: Annotated[float, "Timeout of a request.", Positive("seconds")] = 60.0


def main(flags: Flags) -> int:
    """Sends, prints and writes."""
    from tfrecog.drawing import fonts
    from tfrecog.inference import forms, image_files

    from .artifact import results
    from .server import client_protocols

    out, failed = Path(flags.out).expanduser(), 0
    fonts.check(flags.font, "--font")
    paths = image_files.find(flags.images, out=flags.out and out)
    if flags.out:
        image_files.picture_paths(paths, out)
        files.check(out, f"--out={flags.out}")
    url = (flags.url if "://" in flags.url else f"http://{flags.url}").rstrip("/")
    tls = client_protocols.ClientTls(flags.tls_ca, flags.tls_cert, flags.tls_key)
    model = client_protocols.model_metadata(url, flags.name, flags.timeout_s, tls)
    predict = client_protocols.predictor(flags.protocol, url, flags.grpc_port, model["name"], flags.timeout_s, tls)
    with client_protocols.understood(url):
        info = results.info_of(model["parameters"])
        form = forms.FORMS[model["parameters"]["task"]]

    def seen():
        nonlocal failed
        for number, path in enumerate(paths):
            try:
                size, outputs = predict(image_files.content(path))
                picture = image_files.load(path, info.reading) if flags.out else None
                with client_protocols.understood(url):
                    result = results.of_picture(outputs, size, flags.min_score)
                    lines = _table(result, info)
            except (*image_files.UNREADABLE, client_protocols.RequestFailed) as error:
                print(f"{path}: {error}", file=sys.stderr)
                if isinstance(error, client_protocols.RequestFailed) and not error.reached:
                    failed += len(paths) - number  # The others would not reach it either.
                    return
                failed += 1
                continue
            print(f"{path} ({size[1]} x {size[0]})\n" + "".join(f"  {line}\n" for line in lines))
            yield number, picture, result

    if flags.out:
        with fonts.preferred(flags.font):
            form.write(info, paths, out, seen(), flags.draw_side)
        if failed < len(paths):
            print(f"{len(paths) - failed} of {len(paths)} images done: {form.written} are in {out}")
    else:
        collections.deque(seen(), maxlen=0)
    if failed:
        print(f"error: {failed} of {len(paths)} pictures failed", file=sys.stderr)
    return Status.FAILED if failed else Status.DONE


def _table(result: Any, info: DatasetInfo) -> list[str]:
    """Lines that say what was seen in a picture: detections, labels [H, W] or probabilities [K]."""
    from tfrecog.inference import result_files

    if isinstance(result, result_files.Detections):
        found = zip(result.labels, result.scores, result.boxes, strict=True)
        lines = [
            f"{info.names[label - 1]:20} {score:6.1%}  " + "".join(f"{x:9.1f}" for x in box)
            for label, score, box in found
        ]
        return [f"{'class':20}  score  {'y1':>9}{'x1':>9}{'y2':>9}{'x2':>9}", *lines] if lines else ["nothing"]
    if result.ndim == 2:
        rows = result_files.shares(info, result)
        return [f"{row['category_name']:20} {row['share']:6.1%} of the picture" for row in rows]
    return [f"{row['category_name']:20} {row['probability']:6.1%}" for row in result_files.best(info, result)]


if __name__ == "__main__":
    command.run(main, Flags(), required=("images",))
