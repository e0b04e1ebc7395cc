"""The folder of a site: the page, the model and its description, and LiteRT.js."""

import json
import shutil
from pathlib import Path
from typing import Any

from tfrecog.cli import files
from tfrecog.cli.errors import UserError

from ..artifact import metadata
from ..litert.reader import LiteModel
from ..pages import page
from . import litert_js

_HERE = Path(__file__).parent
PAGE, MODEL, DESCRIPTION, LIBRARY = NAMES = ("index.html", "model.tflite", "model.json", "litert")
# Of the metadata, what the page draws and computes by.
_KEPT = (
    "task", "classes", "skeleton", "flip_pairs", "step", "min_score", "mask_threshold", "paste", "resize",
)  # fmt: skip


def check_new(out: Path, overwrite: bool) -> None:
    """UserError if a folder cannot be written, or has files that no site has."""
    files.check(out.parent, f"--out={out}")
    if not out.exists():
        return
    if not out.is_dir() or (strange := sorted({path.name for path in out.iterdir()} - {*NAMES})):
        what = f"has {strange[0]}, which is no file of a site" if out.is_dir() else "is a file"
        raise UserError(f"--out={out} {what}: choose another folder")
    if any(out.iterdir()) and not overwrite:
        raise UserError(f"--out={out} exists: choose another folder, or give --overwrite")


def described(model: LiteModel, title: str) -> dict[str, Any]:
    """What the page has to know of a model; UserError if it could not give the model its input."""
    if "proposals" in model.tensors[0]:
        raise UserError(
            f"{model.path} reads proposals, and a page has only pictures: a detector on the proposals of its records "
            "cannot be shown"
        )
    if reader := metadata.reader_of(model.metadata):
        raise UserError(f"{model.path} is for {reader}, and a page reads other outputs: export it again without --for")
    if model.metadata.get("orientation") == "file":
        raise UserError(
            f"{model.path} has learned from pictures as their files store them, and browsers turn them upright: build "
            "the records from upright pictures, and train again"
        )
    if signed := [name for name, one in model.tensors[1].items() if one["quantization"][0]]:
        raise UserError(
            f"{model.path} outputs {signed[0]} as int8, of which LiteRT.js {litert_js.VERSION} knows nothing: export "
            "it with --quantize=int8, whose outputs are float32"
        )
    kept = {key: model.metadata[key] for key in _KEPT if key in model.metadata}
    shift = {"keypoint_shift": model.keypoint_shift}
    return {"title": title or model.metadata["name"]} | kept | {"input": model.given} | shift


def write(model: LiteModel, title: str, out: Path, library: dict[str, bytes]) -> None:
    """Writes a site, all of it or nothing.

    Args:
        library: files of `litert_js.files`.
    """
    built = page.build(_HERE, ("canvas.js", "site.js"), runs=("'self'", "'wasm-unsafe-eval'"), inline=litert_js.IMPORTS)
    out.parent.mkdir(parents=True, exist_ok=True)
    with files.folder(out, replace=True) as draft:
        (draft / PAGE).write_bytes(built.html)
        (draft / DESCRIPTION).write_text(json.dumps(described(model, title)), "utf-8")
        shutil.copyfile(model.path, draft / MODEL)
        for name, content in library.items():
            path = draft / LIBRARY / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
