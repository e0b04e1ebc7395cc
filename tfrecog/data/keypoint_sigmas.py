"""Sigmas of the keypoints of a folder of records, for OKS."""

import json
import os

from tfrecog.cli.errors import UserError
from tfrecog.data import info
from tfrecog.data.classes import coco_person


def of(folder):
    """Sigmas [J]; a UserError says what is missing and what to do."""
    path, facts = os.path.join(folder, info.FILE), info.load(folder)
    if not facts.keypoints:
        raise UserError(
            f"{path} has no keypoints, which --detector.keypoints needs: build the records from annotations with "
            "keypoints, or set --nodetector.keypoints"
        )
    if not facts.keypoint_sigmas:
        usual = coco_person.default_sigmas(facts.keypoints)
        raise UserError(
            f"{path} has no keypoint_sigmas, without which the AP of keypoints (OKS) is undefined. Add one for each of "
            f'its {len(usual)} keypoints; pipelines.coco would write "keypoint_sigmas": {json.dumps(usual)}'
        )
    return facts.keypoint_sigmas
