"""What help says of a setting."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from tfrecog.cli import help
from tfrecog.cli.facts import For, Positive, Resumable, Unless, When


@dataclass(frozen=True)
class Part:
    """A part of it."""

    size: Annotated[int, "Size.", Positive("pixels")] = 7
    border: Annotated[int, "Border.", Resumable(), When(".size", 7), Unless("masks", True)] = 0


@dataclass(frozen=True)
class Whole:
    task: Annotated[str, "Task."] = "boxes"
    masks: Annotated[bool, "Masks.", For("boxes", "pixels")] = False
    part: Annotated[Part, For("boxes")] = field(default_factory=Part)


def test_of_a_setting_it_says_when_it_is_read_and_whether_it_may_change_on_resume():
    text = help.text("tfrecog.train", "Trains.", Whole())
    assert "--masks=false\n      Masks. For boxes or pixels.\n" in text
    # What holds for a whole section is said once.
    assert "\npart: A part of it. For boxes.\n\n  --part.size=7\n      Size. More than 0 pixels.\n" in text
    assert " Border. Only with --part.size=7. Not with --masks=true. May change on resume.\n" in text


def test_a_setting_beside_an_empty_one_is_said_by_the_name_of_that():
    @dataclass(frozen=True)
    class Shared:
        shares: Annotated[tuple[str, ...], "Shares."] = ()
        name: Annotated[str, "Name."] = ""
        seed: Annotated[int, "Seed.", Unless("shares", ())] = 0
        place: Annotated[int, "Place.", When("name", "")] = 0

    text = help.text("tfrecog.train", "Trains.", Shared())
    assert " Seed. Only with --shares.\n" in text and " Place. Not with --name.\n" in text


def test_it_lists_the_values_of_choices():
    @dataclass(frozen=True)
    class Choices:
        kind: Annotated[Literal["", "voc"], "Kind."] = ""
        network: Annotated[Literal["a", "b", "c", "d", "e"], "Network."] = "a"
        cut: Annotated[int, "Cut.", When("network", "a", "b", "c", "d")] = 1

    text = help.text("tfrecog.train", "Trains.", Choices())
    assert "Kind. One of: voc; empty: none.\n" in text
    assert "Cut. Only with --network=a, b, c or d.\n" in text


def test_the_purpose_of_a_command_is_its_first_sentence():
    assert help.purpose("Trains SVMs (Girshick et al. 2014). More.\n\nText.") == "Trains SVMs (Girshick et al. 2014)"


def test_of_one_setting_it_says_all():
    text = help.text("tfrecog.train", "Trains.", Whole(), section="part.size")
    assert text == "  --part.size=7\n      Size. More than 0 pixels. For boxes."
