"""Flags of the commands that are given pictures and write results of them."""

from typing import Annotated

from tfrecog.cli.facts import NonNegative, Range

MIN_SCORE = 0.5  # of detections, where nobody asks for others
FontFile = Annotated[
    str,
    "Font (TTF, OTF, TTC) of the names in pictures. Empty: DejaVu Sans, and for letters that it lacks, fonts of this "
    "system.",
]
IMAGES = (
    "Pictures: a pattern such as 'photos/*.jpg' (** for all folders below), a folder, a file, or several of these "
    "with commas between them. A photo that its camera marked as turned (EXIF) is turned upright first, "
    "and results are those of the upright photo; unless the data set was built with --orientation=file."
)
RESULTS = (
    "Folder for detections.json (predictions.json of a classifier or a segmenter), a picture (JPEG) of each image, "
    "and of a segmenter its label map (label_maps/*.png)."
)
Images = Annotated[str, IMAGES]
Results = Annotated[str, RESULTS]
DrawSide = Annotated[
    int,
    "Small images are enlarged by a whole factor, for drawing only, until no side is shorter. 0: never.",
    NonNegative("pixels"),
]
Threads = Annotated[
    int,
    "Threads of a TFLite or ONNX file. 0: as many as there are cores.",
    Range(0, 256),  # A machine runs out of them at some thousands.
]
