"""What a model sees in an image, in pixels of the image itself."""

from dataclasses import dataclass

import numpy as np

from tfrecog.config import OutputConfig
from tfrecog.ops import rle, to_original


@dataclass(frozen=True)
class Detections:
    """What a model sees in an image, in pixels of the original image; best first."""

    image_id: int
    record: int  # row of the index, or of the list of images
    size: tuple[int, int]  # height, width
    boxes: np.ndarray  # float64 [n, 4], to the thousandth of a pixel
    labels: np.ndarray  # int32 [n], 1..K
    scores: np.ndarray  # float32 [n]
    masks: list[dict] | None  # [n] compressed run lengths, see `rle.to_coco`
    keypoints: np.ndarray | None = None  # float64 [n, J, 3]: y, x to the thousandth of a pixel, score

    @property
    def instances(self):
        """Boxes, labels, scores, masks and keypoints."""
        return self.boxes, self.labels, self.scores, self.masks, self.keypoints


def in_original(output: dict, image: dict, config: OutputConfig) -> Detections:
    """The filled slots of one image's output, moved from the resized to the original image; masks as run lengths."""
    filled = output["labels"] > 0
    height, width = map(int, image["original_size"])
    boxes = to_original.boxes(output["boxes"][filled], image["scale"], image["original_size"])
    masks = None
    if "masks" in output:
        pasted = rle.paste(output["masks"][filled], boxes, height, width, config.mask_threshold, config.paste)
        masks = [rle.to_coco(runs, height, width) for runs in pasted]
    keypoints = None
    if "keypoints" in output:
        keypoints = to_original.keypoints(output["keypoints"][filled].astype(float), image["scale"])
        keypoints[..., :2] = np.round(keypoints[..., :2], 3)
    return Detections(
        image_id=int(image["image_id"]),
        record=int(image["record"]),
        size=(height, width),
        # Rounded as in the file, so that the file gives the same numbers to whoever evaluates it.
        boxes=np.round(boxes.astype(float), 3),
        labels=output["labels"][filled],
        scores=output["scores"][filled],
        masks=masks,
        keypoints=keypoints,
    )
