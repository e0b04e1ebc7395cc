"""--keypoint_sigmas: the OKS sigma of each keypoint, which keypoint AP needs."""

from collections.abc import Sequence

from tfrecog.data import info
from tfrecog.data.classes import coco_person

from ..build.problems import Refused

MEANING = (
    "OKS sigma of each keypoint, in their order: standard deviation of its annotations / sqrt(area of the object). "
    f"Empty: COCO's for COCO's person, {coco_person.DEFAULT_SIGMA} each for others."
)


def chosen(sigmas: Sequence[float], keypoints: Sequence[str], source: str) -> tuple[float, ...]:
    """Those given for the keypoints of a source, or the usual ones; Refused if there are not as many."""
    if sigmas and len(sigmas) != len(keypoints):
        raise Refused(
            f"--keypoint_sigmas has {len(sigmas)} numbers, and {source} has {len(keypoints)} keypoints: "
            f"{', '.join(keypoints) or 'none'}. Give one for each."
        )
    return tuple(sigmas) or coco_person.default_sigmas(keypoints)


def note(folder: str, given: Sequence) -> None:
    """Tells people where the sigmas of the dataset in a folder are a guess."""
    keypoints = info.load(folder).keypoints
    if keypoints and not given and keypoints != coco_person.KEYPOINTS:
        print(
            f"note: the sigma of each of the {len(keypoints)} keypoints is {coco_person.DEFAULT_SIGMA}, as those of "
            "COCO's person do not apply; if you know better ones, run the same command again with --keypoint_sigmas=..."
        )
