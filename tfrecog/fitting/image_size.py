"""How large a detector's pictures are: so that the objects of each class can be told, and no larger."""

import math
from collections.abc import Mapping
from typing import Any

from tfrecog.fitting.facts import ClassFacts, Facts
from tfrecog.fitting.plan import Choice
from tfrecog.fitting.rung import Rung

BLURRED, CLEAR = 16.0, 24.0  # pixels that the smallest tenth of a class's objects need, and its median object
FOR_KEYPOINTS = 2.0  # times as many, as a keypoint is found to a fraction of its object
MANY = 0.2  # share of the objects from which masks and keypoints are learned
SMALLEST, LONGEST = 128, 1333  # pixels of the short and of the long side
ENOUGH = 5  # objects of a class that tell how large it is
LIKE_OWN = (0.8, 1.3)  # times the pictures' own size, within which it stays
MANY_PICTURES = 1000  # from which a second shape of padded pictures is worth the time to compile it
_STEP = 32  # pixels that the sides of a padded picture are multiples of


def wanted(facts: Facts, keypoints: bool = False) -> tuple[float, ClassFacts | None]:
    """Pixels of the short side at which the objects of each class can be told, and the class that asks for them."""
    times = FOR_KEYPOINTS if keypoints else 1.0
    seen = [one for one in facts.classes if one.objects >= ENOUGH] or [one for one in facts.classes if one.objects]
    needs = sorted(((times * need(one), place) for place, one in enumerate(seen)), reverse=True)
    if not needs:
        return float(SMALLEST), None
    # Of very many classes, a tenth may stay smaller.
    pixels, place = needs[len(needs) // 10]
    return min(max(pixels, SMALLEST), 2 * facts.short[1], LONGEST), seen[place]


def need(one: ClassFacts) -> float:
    """Pixels of the short side that a class needs."""
    return max(BLURRED / max(one.side[0], 1e-4), CLEAR / max(one.side[1], 1e-4))


def chosen(facts: Facts, rung: Rung, given: Mapping[str, Any]) -> tuple[int, Choice]:
    """The short side in pixels of the pictures as they are predicted, and the choice of all sizes."""
    short, reason = _short(facts, rung, given)
    if "data.short_side" in given or "data.eval_short_side" in given:
        short = given.get("data.eval_short_side") or max(given["data.short_side"])
    seen = up(short * rung.window) if rung.window < 1 else short
    flags = {
        "data.short_side": (seen,),
        "data.eval_short_side": short,
        "data.long_side": max(min(LONGEST, up(short * _longest(facts))), short),
        "data.aspect_ratios": _shapes(facts),
    }
    return short, Choice("image size", flags, reason)


def windows(facts: Facts, short: int) -> list[float]:
    """Shares of the picture's sides that a training step may see instead of all of it: where objects are small."""
    largest = max((one.side[2] for one in facts.classes), default=1.0)
    return [one for one in (0.5, 0.35) if largest <= one / 3 and facts.usual_objects[1] * one**2 >= 1 and short >= 400]


def _longest(facts: Facts) -> float:
    """Long / short side of the longest pictures that are not made smaller for it."""
    return min(max(facts.ratio[2], 1.0), 2.5)


def _short(facts: Facts, rung: Rung, given: Mapping[str, Any]) -> tuple[int, str]:
    keypoints = given.get("detector.keypoints", facts.posed >= MANY)
    least, one = wanted(facts, keypoints)
    own = facts.short[1]
    asked = least if rung.size <= 1 else min(least * rung.size, max(own, least))
    # What is too long becomes smaller.
    short = min(up(asked * min(rung.size, 1.0)), int(LONGEST / max(facts.ratio[1], 1.0)))
    reason = "there is no object to measure"
    if one is not None:
        blurred = BLURRED / max(one.side[0], 1e-4) >= CLEAR / max(one.side[1], 1e-4)
        share, pixels, how = (one.side[0], BLURRED, "a tenth below") if blurred else (one.side[1], CLEAR, "usually")
        whose = f"{one.name} ({how} {share:.0%} of the short side)"
        pixels *= FOR_KEYPOINTS if keypoints else 1
        reason = f"{whose} needs {pixels:.0f} pixels{' for its keypoints' * keypoints}, and has {share * short:.0f}"
    if LIKE_OWN[0] * own <= short <= LIKE_OWN[1] * own and rung.size >= 1 and own >= SMALLEST / 2:
        return round(own), f"{reason} in pictures as they are"
    if short >= 2 * own:
        reason += f"; the pictures have {own:.0f} pixels, and twice that is the most"
    return short, reason + (f"; {rung.saved}" if rung.size < 1 or rung.window < 1 else "")


def _shapes(facts: Facts) -> tuple[float, ...]:
    """Long / short sides of the padded pictures: few, as each takes its time to compile."""
    _, middle, high = (round(min(max(one, 1.0), 2.5), 2) for one in facts.ratio)
    return (middle, high) if high > 1.2 * middle and facts.images >= MANY_PICTURES else (high,)


def up(pixels: float, step: int = _STEP) -> int:
    """The next multiple of a step."""
    return math.ceil(round(pixels, 3) / step) * step
