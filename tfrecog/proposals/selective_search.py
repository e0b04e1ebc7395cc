"""Selective search: boxes where an object may be, without learning (Uijlings et al. 2013; IJCV 104).

An image is cut into small segments (Felzenszwalb and Huttenlocher 2004), and the two most similar neighbours become one
segment, until one is left: each segment on the way is a proposal. That is done in several colour spaces, from smaller
and larger segments, by several measures of similarity (section 3.2), and all proposals are ranked together.

Segments and colours are OpenCV's. Its own selective search is not used: it ranks by the C library's random numbers,
which nothing can seed from here, and puts the smallest segments first, where the paper puts the largest, so that large
objects are late or cut off; it also takes longer.
"""

import heapq
import types
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import NonNegative, Range, When

COLOUR_BINS, TEXTURE_BINS, DIRECTIONS = 25, 10, 8  # section 3.2
SIGMA = 0.8  # of the blur before the segments, in the paper's code

# Table 7. A measure is the sum of its letters: Colour, Texture, Size, Fill.
SPACES = {"fast": ("HSV", "Lab"), "quality": ("HSV", "Lab", "rgI", "H", "I")}
SCALES = {"fast": (50, 100), "quality": (50, 100, 150, 300)}
MEASURES = {"fast": ("CTSF", "TSF"), "quality": ("CTSF", "TSF", "F", "S")}

SEARCH = When("method", "selective_search")


@dataclass(frozen=True)
class Options:
    """What decides the proposals of an image."""

    mode: Annotated[Literal["fast", "quality"], "8 groupings of an image, or 80 (table 7).", SEARCH] = "fast"
    max: Annotated[int, "Proposals of an image, the best first.", Range(1)] = 2000
    short_side: Annotated[int, "Resize the short side to this first. 0: as it is.", NonNegative("pixels"), SEARCH] = 0
    min_side: Annotated[
        float,
        "Proposals with a shorter side than this are dropped.",
        NonNegative("pixels"),
        When("method", "selective_search", "grid"),
    ] = 8.0
    seed: Annotated[int, "Seed of the ranks.", NonNegative(), SEARCH] = 0


DEFAULT = Options()


@dataclass
class Segments:
    """What a grouping starts from: n segments of an image."""

    sizes: np.ndarray  # [n] pixels
    boxes: np.ndarray  # [n, 4], pixels
    colours: np.ndarray  # [n, C * COLOUR_BINS] histograms that add up to 1
    textures: np.ndarray  # [n, C * DIRECTIONS * TEXTURE_BINS], as well
    pairs: np.ndarray  # [m, 2] neighbours


def propose(image: np.ndarray, options: Options = DEFAULT) -> np.ndarray:
    """Proposals float32 [P, 4] of an image uint8 [H, W, 3] (RGB), in its pixels, the best first; none twice.

    The same image and options give the same proposals. UserError: OpenCV is missing.
    """
    cv2 = opencv()
    height, width = image.shape[:2]
    scale = options.short_side / min(height, width) if options.short_side else 1.0
    size = max(round(height * scale), 1), max(round(width * scale), 1)
    if size != (height, width):
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, size[::-1], interpolation=way)
    rng = np.random.default_rng(options.seed)
    found, ranks = [], []
    for space in SPACES[options.mode]:
        channels = _channels(cv2, image, space)
        texture = _directions(cv2, channels)
        for k in SCALES[options.mode]:
            segments = _segments(cv2, channels, texture, k)
            for measures in MEASURES[options.mode]:
                boxes = group(segments, measures, size[0] * size[1])
                found.append(boxes)
                # The last one, which is the whole image, has position 1; a random factor mixes the groupings (4.1).
                ranks.append(rng.random(len(boxes)) * np.arange(len(boxes), 0, -1))
    boxes = np.concatenate(found)[np.argsort(np.concatenate(ranks), kind="stable")]
    _, first = np.unique(boxes, axis=0, return_index=True)
    boxes = boxes[np.sort(first)] * (np.array([height, width] * 2) / np.array(size * 2))
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes[np.all(sides >= options.min_side, axis=1)][: options.max].astype(np.float32)


def group(segments: Segments, measures: str, pixels: int) -> np.ndarray:
    """Boxes [2n - 1, 4] of n segments and of what they grow into, one after the other (algorithm 1).

    Args:
        segments: connected, or what is apart is never joined and there are fewer boxes.
        measures: letters of the similarities that are summed.
        pixels: of the image.
    """
    n = len(segments.sizes)

    def room(start):
        return np.concatenate([start, np.zeros([n - 1, *start.shape[1:]], start.dtype)])

    sizes, boxes = room(segments.sizes.astype(np.float64)), room(segments.boxes.astype(np.float64))
    colours, textures = room(segments.colours), room(segments.textures)

    def similarity(a, b):
        """Of segments a [m] with segments b [m] or one b (equations 1 to 6)."""
        total = np.zeros(len(a))
        if "C" in measures:
            total += np.minimum(colours[a], colours[b]).sum(axis=-1)
        if "T" in measures:
            total += np.minimum(textures[a], textures[b]).sum(axis=-1)
        if "S" in measures:
            total += 1 - (sizes[a] + sizes[b]) / pixels
        if "F" in measures:
            sides = np.maximum(boxes[a, 2:], boxes[b, 2:]) - np.minimum(boxes[a, :2], boxes[b, :2])
            total += 1 - (sides[..., 0] * sides[..., 1] - sizes[a] - sizes[b]) / pixels
        return total

    neighbours = [set() for _ in range(n)]
    for a, b in segments.pairs.tolist():
        neighbours[a].add(b)
        neighbours[b].add(a)
    first = similarity(*segments.pairs.T).tolist()
    queue = [(-close, a, b) for close, (a, b) in zip(first, segments.pairs.tolist(), strict=True)]
    heapq.heapify(queue)
    gone: set[int] = set()
    while queue:
        _, a, b = heapq.heappop(queue)
        if a in gone or b in gone:
            continue
        gone |= {a, b}
        new = len(neighbours)
        sizes[new] = sizes[a] + sizes[b]
        boxes[new] = [*np.minimum(boxes[a, :2], boxes[b, :2]), *np.maximum(boxes[a, 2:], boxes[b, 2:])]
        for histogram in (colours, textures):
            histogram[new] = (sizes[a] * histogram[a] + sizes[b] * histogram[b]) / sizes[new]
        around = sorted((neighbours[a] | neighbours[b]) - {a, b})
        neighbours.append(set(around))
        for other in around:
            neighbours[other] -= {a, b}
            neighbours[other].add(new)
        if around:
            for close, other in zip(similarity(np.array(around), new).tolist(), around, strict=True):
                heapq.heappush(queue, (-close, other, new))
    return boxes[: len(neighbours)]


def opencv() -> types.ModuleType:
    """cv2 with its contributed modules, on one thread; UserError says what to install."""
    try:
        import cv2

        cv2.ximgproc.segmentation  # noqa: B018 - absent from the package without contrib
    except (ImportError, AttributeError) as error:
        raise UserError(
            "selective search needs OpenCV with its contributed modules: pip install 'tfrecog[proposals]' (which is "
            f"opencv-contrib-python-headless; take another opencv-python away first). It says: {error}"
        ) from error
    cv2.setNumThreads(1)  # Images are the parallelism.
    return cv2


def _channels(cv2, image, space):
    """The image uint8 [H, W, C] in a colour space, each channel of which has a range of 256."""
    if space == "HSV":
        return cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    if space == "Lab":
        return cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    if space == "H":
        return cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)[..., :1].copy()
    intensity = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    if space == "I":
        return intensity
    total = np.maximum(image.sum(axis=-1, dtype=np.float32, keepdims=True), 1)
    share = np.rint(255 * image[..., :2] / total).astype(np.uint8)
    return np.concatenate([share, intensity], axis=-1)


def _directions(cv2, channels):
    """Bins [H, W, C * 8] of the derivatives of Gaussians of sigma 1, in 8 directions."""
    blurred = cv2.GaussianBlur(channels.astype(np.float32), (0, 0), 1.0).reshape(channels.shape)
    padded = np.pad(blurred, ((1, 1), (1, 1), (0, 0)), mode="edge")
    dy, dx = padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]
    bins = []
    for direction in range(DIRECTIONS):
        angle = 2 * np.pi * direction / DIRECTIONS
        slope = np.maximum(np.sin(angle) * dy + np.cos(angle) * dx, 0)
        steepest = np.maximum(slope.max(axis=(0, 1)), 1e-6)
        bins.append(np.minimum(slope * (TEXTURE_BINS / steepest), TEXTURE_BINS - 1).astype(np.uint8))
    return np.concatenate(bins, axis=-1)


def _segments(cv2, channels, texture, k):
    """Segments of an image uint8 [H, W, C]; a larger k makes larger ones."""
    graph = cv2.ximgproc.segmentation.createGraphSegmentation(SIGMA, float(k), k)
    labels = graph.processImage(channels)
    height, width = labels.shape
    n = int(labels.max()) + 1
    flat = labels.ravel().astype(np.int64)
    sizes = np.bincount(flat, minlength=n)
    y, x = np.divmod(np.arange(flat.size), width)
    boxes = np.stack([np.full(n, height), np.full(n, width), np.zeros(n, int), np.zeros(n, int)], axis=-1)
    np.minimum.at(boxes[:, 0], flat, y)
    np.minimum.at(boxes[:, 1], flat, x)
    np.maximum.at(boxes[:, 2], flat, y + 1)
    np.maximum.at(boxes[:, 3], flat, x + 1)
    colour = (channels.astype(np.int64) * COLOUR_BINS) // 256
    a = np.concatenate([labels[:, 1:].ravel(), labels[1:].ravel()])
    b = np.concatenate([labels[:, :-1].ravel(), labels[:-1].ravel()])
    apart = a != b
    low, high = np.minimum(a, b)[apart].astype(np.int64), np.maximum(a, b)[apart]
    pairs = np.stack(np.divmod(np.unique(low * n + high), n), axis=-1)
    return Segments(
        sizes, boxes, _histograms(flat, colour, COLOUR_BINS, n), _histograms(flat, texture, TEXTURE_BINS, n), pairs
    )


def _histograms(labels, bins, count, n):
    """Histograms [n, C * count] of the bins [H, W, C] of n segments, which add up to 1; labels [H * W]."""
    channels = bins.shape[-1]
    counts = [
        np.bincount(labels * count + bins[..., channel].ravel(), minlength=n * count).reshape(n, count)
        for channel in range(channels)
    ]
    total = np.concatenate(counts, axis=1).astype(np.float64)
    return total / total.sum(axis=1, keepdims=True)
