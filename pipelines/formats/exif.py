"""Whether annotations are of a picture as its file stores it, or of one that its EXIF data turn upright."""

from tfrecog.data.image_numpy import Opened

from ..build.command import Orientation as Rule

Size = tuple[float, float]  # height, width
_SLACK = 1.0  # pixels by which sloppy boxes lie beyond the picture that they are of


def sizes(stored: Opened) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) of a picture as its file stores it, and upright."""
    width, height = stored.picture.size
    return (height, width), (width, height) if stored.orientation >= 5 else (height, width)


def turned(stored: Opened, rule: Rule, size: Size | None, reach: Size | None) -> tuple[bool, str]:
    """Whether the annotations are of the picture upright; and why that is doubtful, "" if it is not.

    Args:
        stored: the picture.
        rule: `file` and `upright` are the answer.
        size: stated with the annotations.
        reach: the largest y and x of their boxes.
    """
    if stored.orientation == 1 or rule != "auto":
        return stored.orientation != 1 and rule == "upright", ""
    as_stored, upright = sizes(stored)
    in_file, in_upright = (_holds(one, reach) for one in (as_stored, upright))
    if as_stored != upright and size == upright:
        return True, ""
    if as_stored != upright and size == as_stored:
        if in_upright and not in_file:
            return True, "the stated size is that of the file as it is, but its boxes only fit the upright picture"
        return False, "the stated size is that of the file as it is, which some tools write with upright boxes"
    if in_file != in_upright:
        return in_upright, ""
    return True, "neither a stated size nor the boxes tell which picture was annotated"


def _holds(size: Size, reach: Size | None) -> bool:
    return not reach or all(most <= side + _SLACK for most, side in zip(reach, size, strict=True))
