"""Makes a run of weights that torchvision or detectron2 publishes, or of a file of one of their networks.

python -m tfrecog.import_weights --model=maskrcnn_resnet50_fpn --out=weights/maskrcnn_resnet50_fpn
python -m tfrecog.import_weights --list

The run can be evaluated, used for prediction, exported, and trained on from: --train.start_from=FOLDER. Nothing in a
file of weights is executed.
"""

from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.errors import UserError


@dataclass(frozen=True)
class Flags:
    """What is imported, and where to."""

    model: Annotated[
        str,
        "Which network the weights are of, by its publisher's name; _v2 is the second version of one, and _legacy an "
        "older file.",
    ] = ""
    out: Annotated[str, "Folder of the run to make."] = ""
    weights: Annotated[
        str,
        "File of weights: torch's .pth, .safetensors, or detectron2's .pkl. Empty: the published file, from the cache "
        "(~/.cache/tfrecog/weights, or the folder that the environment variable TFRECOG_CACHE names) or its address.",
    ] = ""
    classes: Annotated[
        str,
        "Text file with the class names that the weights were trained on, one a line, in the order of their outputs; "
        "needed where they are not those of the published file.",
    ] = ""
    list: Annotated[bool, "Print the names of all models with their publishers' figures, and import nothing."] = False


def main(flags: Flags) -> None:
    """Imports, or lists the models."""
    if not flags.list and not flags.model:
        raise UserError("--model is missing: the network whose weights are imported (--list shows all)")
    if not flags.list and not flags.out:
        raise UserError(f"--out is missing: the folder of the run to make, as in --out=weights/{flags.model}")
    from tfrecog.weights import importer, models

    if flags.list:
        print(models.listing(models.ALL))
        return
    published = models.find(flags.model)
    _, report = importer.make_run(flags.model, published, flags.out, flags.weights, flags.classes)
    print(report)


if __name__ == "__main__":
    command.run(main, Flags())
