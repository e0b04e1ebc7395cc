"""--flip_pairs: the keypoints that change places when an image is flipped, such as left_eye and right_eye."""

import re
from collections.abc import Sequence

from tfrecog.data import info
from tfrecog.data.classes import coco_person

from ..build.problems import Refused

MEANING = (
    "Keypoints that change places in a mirror, as LEFT:RIGHT with their names, such as L_Eye:R_Eye,L_Ear:R_Ear; "
    "'none': no keypoints do. Empty: those whose names say so."
)
_NONE = ("none",)
# left_eye, LEFT_EYE, EyeLeft; l_eye, eye.L, LEye, eyeL, with the L as a word or before one with a capital; leye.
_WORD = re.compile("left", re.IGNORECASE)
_LETTER = re.compile(r"(?<![A-Za-z])[Ll](?![a-z])|(?<=[a-z0-9])L(?![a-z])")
_FIRST = re.compile("^[Ll](?=[a-z])")
_RIGHT = re.compile(r"(?i:right)|(?<![A-Za-z])[Rr](?![a-z])|(?<=[a-z0-9])R(?![a-z])")
_OTHER = {"left": "right", "l": "r"}


def by_name(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Positions of the left keypoints and of the right ones of the same name."""
    place, pairs = {name: position for position, name in enumerate(names)}, {}
    for left, name in enumerate(names):
        for side in (_WORD, _LETTER, _FIRST):
            right = place.get(side.sub(_mirrored, name), left)
            if right != left and right not in pairs.values():
                pairs[left] = right
                break
    return tuple(pairs.items())


def _mirrored(side: re.Match) -> str:
    word = _OTHER[side[0].lower()]
    return word.upper() if side[0].isupper() else word.capitalize() if side[0][0].isupper() else word


def chosen(given: Sequence[str], names: Sequence[str], source: str) -> tuple[tuple[int, int], ...]:
    """The pairs that a flag gives for the keypoints of a source, or those found by name; Refused if they are wrong."""
    if not given:
        return by_name(names)
    if tuple(given) == _NONE:
        return ()
    place, pairs = {name: position for position, name in enumerate(names)}, []
    for text in given:
        left, _, right = text.partition(":")
        unknown = next((name for name in (left, right) if name not in place), None)
        if unknown is not None or left == right:
            what = f"--flip_pairs: {text!r} is not LEFT:RIGHT of two keypoints"
            raise Refused(f"{what}; {source} has {', '.join(names) or 'none'}. Give their names, or none")
        pairs.append((place[left], place[right]))
    used = [position for pair in pairs for position in pair]
    twice = next((names[position] for position in used if used.count(position) > 1), None)
    if twice is not None:
        raise Refused(f"--flip_pairs names {twice!r} twice; a keypoint changes places with one other")
    return tuple(pairs)


def note(folder: str, given: Sequence[str]) -> None:
    """Tells people where keypoints of the dataset in a folder may have sides that their names do not say."""
    facts = info.load(folder)
    if given or len(facts.keypoints) < 2 or facts.keypoints == coco_person.KEYPOINTS:
        return
    paired = {position for pair in facts.flip_pairs for position in pair}
    alone = [name for position, name in enumerate(facts.keypoints) if position not in paired]
    alone = [name for name in alone if any(side.search(name) for side in (_WORD, _LETTER, _RIGHT))]
    if paired and not alone:
        return
    what = "no keypoint has a name of the left or right side"
    if alone:
        what = f"no keypoint has the name of the other side of {', '.join(alone)}"
    print(
        f"note: {what}, so none change places when training flips an image. If they should, run the same command again "
        "with --flip_pairs=LEFT:RIGHT,..., or train with --data.flip=0; if not, with --flip_pairs=none"
    )
