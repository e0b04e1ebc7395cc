"""Films to read."""

import numpy as np


def film(path, frames=30, size=(48, 64)):
    """A film of gray frames, each 8 brighter than the one before; blue in its right half."""
    import cv2

    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v")), 10, size[::-1]
    )
    assert writer.isOpened()
    for number in range(frames):
        frame = np.full((*size, 3), 8 * number, np.uint8)
        frame[:, size[1] // 2 :] = (255, 0, 0)  # blue, green, red
        writer.write(frame)
    writer.release()
    return path
