"""All published files of weights by the name of their network."""

import difflib
from collections.abc import Mapping

from tfrecog.cli.errors import UserError
from tfrecog.weights import detectron2_models, torchvision_models
from tfrecog.weights.published import Published

ALL: dict[str, Published] = {**torchvision_models.MODELS, **detectron2_models.MODELS}


def find(name: str) -> Published:
    """The published file of a network; UserError for a name that there is not."""
    if name not in ALL:
        near = difflib.get_close_matches(name, ALL, 3) or [one for one in ALL if name in one][:3]
        hint = f"did you mean {' or '.join(near)}? --list shows all" if near else "--list shows all"
        raise UserError(f"--model={name}: there is no such model; {hint}")
    return ALL[name]


def listing(models: Mapping[str, Published]) -> str:
    """For people: a line for each model, its name and what its publisher measured, below where that is said."""
    lines, width = [], max(map(len, models), default=0)
    for source in dict.fromkeys(published.source for published in models.values()):
        lines += ["", f"{source} (percent, the publisher's):"]
        of_source = {name: one for name, one in models.items() if one.source == source}
        lines += [f"  {name:<{width}}  {published.figures_text()}" for name, published in of_source.items()]
    return "\n".join(lines[1:])
