"""Values that cannot be, do not go together, or are read by nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import pytest

from tfrecog.cli import validate
from tfrecog.cli.facts import For, Fraction, Positive, Unless, When


@dataclass(frozen=True)
class Rule:
    name: Annotated[Literal["plain", "fancy"], "Name."] = "plain"
    decay: Annotated[float, "Decay.", Fraction(), When(".name", "fancy")] = 0.9
    sizes: Annotated[tuple[int, ...], "Sizes.", Positive("pixels")] = (1, 2)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if len(self.sizes) > 2 and self.name == "plain":
            yield "sizes", "plain takes two"


@dataclass(frozen=True)
class Mask:
    size: Annotated[int, "Size.", Positive()] = 7


@dataclass(frozen=True)
class Whole:
    task: Annotated[Literal["boxes", "classes"], "Task."] = "boxes"
    masks: Annotated[bool, "Masks."] = False
    rule: Annotated[Rule, For("boxes")] = field(default_factory=Rule)
    mask: Annotated[Mask, When(".masks", True, refused=False), Unless(".task", "classes")] = field(default_factory=Mask)


def test_what_is_as_by_default_passes():
    validate.check(Whole())
    validate.check(Whole("classes"))


@pytest.mark.parametrize(
    ("changed", "sentences"),
    [
        (Whole(rule=Rule(sizes=(3, 0))), ["--rule.sizes=3,0: must be more than 0 pixels"]),
        (Whole(rule=Rule(sizes=())), ["--rule.sizes=: needs at least one value"]),
        (Whole(rule=Rule(sizes=(1, 2, 3))), ["--rule.sizes=1,2,3: plain takes two"]),
        (
            Whole(rule=Rule(decay=2.0), mask=Mask(0)),
            ["--rule.decay=2.0: must be between 0 and 1", "--mask.size=0: must be more than 0"],
        ),
        (
            Whole(rule=Rule(decay=0.5)),
            ["--rule.decay=0.5: is not read with --rule.name=plain, only with fancy; leave it at 0.9"],
        ),
        (
            Whole("classes", rule=Rule("fancy")),
            ["--rule.name=fancy: is not read with --task=classes, only with boxes; leave it at plain"],
        ),
        (Whole("classes", mask=Mask(3)), ["--mask.size=3: is not read with --task=classes; leave it at 7"]),
    ],
)
def test_every_wrong_value_is_named_with_its_flag_and_what_it_needs(changed, sentences):
    with pytest.raises(ValueError) as raised:
        validate.check(changed)
    assert str(raised.value) == "; ".join(sentences)


def test_the_rules_of_a_section_that_nothing_reads_do_not_count():
    conflicting = Whole(rule=Rule(sizes=(1, 2, 3)))
    assert "plain takes two" in str(validate.problems(conflicting))
    assert "plain takes two" not in str(validate.problems(replace(conflicting, task="classes")))


def test_a_part_that_is_switched_off_keeps_its_settings():
    kept = Whole(mask=Mask(3))
    validate.check(kept)
    assert validate.read_alone(kept) == Whole()
    assert validate.read_alone(replace(kept, masks=True)) == replace(kept, masks=True)


def test_a_flagfile_holds_what_is_read():
    assert "mask.size" not in validate.dumps(Whole(mask=Mask(3)))
    assert "--mask.size=3\n" in validate.dumps(Whole(masks=True, mask=Mask(3)))
    assert validate.dumps(Whole("classes")) == "--task=classes\n--masks=false\n"


def test_what_nothing_reads_is_no_difference():
    assert not validate.differences(Whole(), Whole(mask=Mask(3)))
    assert validate.differences(Whole(), Whole(masks=True, mask=Mask(3))) == {
        "masks": (False, True),
        "mask.size": (7, 3),
    }
