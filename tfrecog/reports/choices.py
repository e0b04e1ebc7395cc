"""The choices of a fit, for the report of its run."""

from pathlib import Path
from typing import Any, TypedDict

from tfrecog.cli import facts, flagfiles, json_values
from tfrecog.reports.blocks import Section, Table, Words


class _Choice(TypedDict):
    what: str
    flags: dict[str, Any]
    reason: str
    given: bool


class _Plan(TypedDict):
    choices: list[_Choice]
    minutes: float
    measured: dict[str, Any]


def section(workdir: str | Path) -> Section | None:
    """A row a choice: what, why, and the flags that change it; None of a run that no fit has made."""
    path = Path(workdir) / flagfiles.PLAN
    if not workdir or not path.is_file():
        return None
    plan = json_values.load(path, _Plan, "delete it: the report then goes without")
    rows = []
    for choice in plan["choices"]:
        values = {path: tuple(value) if isinstance(value, list) else value for path, value in choice["flags"].items()}
        words = " ".join(f"--{path}={facts.shown(value)}" for path, value in values.items())
        rows.append([choice["what"], "as given" if choice["given"] else choice["reason"], words])
    text = f"tfrecog.fit chose this training for {plan['minutes']:g} minutes: {plan['measured'].get('time', '')}."
    return Section("choices", "Choices", [Words(text), Table(["what", "why", "flags"], rows)])
