"""Makes a page of a TFLite file: a folder for any web server, and the model runs in the browser of who visits it.

python -m export.web --model=model.tflite --out=site
"""

import dataclasses
from pathlib import Path
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.errors import UserError


@dataclasses.dataclass(frozen=True)
class Flags:
    """The flags of a page."""

    model: Annotated[str, "The TFLite file, of export.tflite."] = ""
    out: Annotated[str, "Folder to write, with everything that the page needs."] = ""
    overwrite: Annotated[bool, "Replace a folder that this command wrote."] = False
    title: Annotated[str, "Heading of the page. Empty: the model's name."] = ""
    litert: Annotated[
        str, "Folder with the two archives that `npm pack` downloads of LiteRT.js. Empty: npm downloads them."
    ] = ""


def main(flags: Flags) -> None:
    """Writes the folder."""
    path, out = Path(flags.model).expanduser(), Path(flags.out).expanduser()
    if path.suffix.lower() != ".tflite":
        raise UserError(f"--model={flags.model}: name a file that ends in .tflite, of export.tflite")
    from .litert.reader import LiteModel
    from .site import litert_js, write

    write.check_new(out, flags.overwrite)
    model = LiteModel(path)
    write.described(model, flags.title)  # Refused before anything is downloaded.
    write.write(model, flags.title, out, litert_js.files(flags.litert))
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"Wrote {out}, {size / 1e6:.0f} MB. To see it: python -m http.server --directory={out}")
    print("then open http://localhost:8000; any server of static files will do, and the camera asks for https there")


if __name__ == "__main__":
    command.run(main, Flags(), required=("model", "out"))
