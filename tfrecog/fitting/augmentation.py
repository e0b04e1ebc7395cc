"""What may be changed at random in a picture that is learned from, without changing what it shows."""

from tfrecog.fitting import names
from tfrecog.fitting.facts import Facts
from tfrecog.fitting.plan import Choice

_NO_MIRROR = {"left", "right", "arrow", "text", "word", "letter", "letters", "digit", "digits", "number", "numbers"}
_READ = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}


def flips(facts: Facts) -> Choice:
    """Whether pictures are mirrored: not where that changes what they are."""
    worded = [name for name in facts.names if names.words(name) & _NO_MIRROR]
    signs = [name for name in facts.names if len(name) == 1 or name.isdigit() or name.lower() in _READ]
    if facts.alone:
        reason = f"off, as no keypoint changes places with {', '.join(facts.alone[:3])}"
        return Choice("mirror images", {"data.flip": 0.0}, reason)
    if worded:
        return Choice("mirror images", {"data.flip": 0.0}, f"off, as the class {worded[0]!r} has a side or can be read")
    if signs and 2 * len(signs) >= len(facts.names):
        return Choice("mirror images", {"data.flip": 0.0}, f"off, as classes such as {signs[0]!r} are read")
    return Choice("mirror images", {"data.flip": 0.5}, "no name of a class or keypoint says that sides matter")
