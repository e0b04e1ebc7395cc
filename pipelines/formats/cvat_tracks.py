"""Tracks of CVAT's XML: shapes in frames of a video, with those between two keyframes as CVAT interpolates them."""

import bisect
import itertools
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ..build.problems import LeftOut, Problem, Refused, Reporter
from . import cvat_shape, groups
from .drawn import Drawing, Picture
from .groups import Part
from .named_images import NamedImages
from .tar_files import File
from .tool_values import number, whole

_EXPORTED = re.compile(r"frame_\d{6,}")  # how CVAT names the frames that it exports
_MOST_FRAMES = 10**7
_SHOWN = 5  # frames that a message names
_NUMBER_THEM = "Number the files as the frames, from 0: ffmpeg -i VIDEO -start_number 0 frame_%06d.png"


def read(
    path: str,
    root: Element,
    tracks: Sequence[Element],
    images: NamedImages,
    drawing: Drawing,
    found: list[Problem],
) -> None:
    """Adds the frames of videos and what their tracks draw in them to a drawing.

    Raises:
        Refused: it does not show which frames are of which of several videos, or files are not numbered as the frames.
    """
    of_task: dict[str, list[Element]] = defaultdict(list)
    for track in tracks:
        of_task[track.get("task_id") or ""].append(track)
    for task_id, files in _files(path, root, of_task, images).items():
        _read_video(path, root, task_id, of_task[task_id], files, images, drawing, found)


def _read_video(
    path: str,
    root: Element,
    task_id: str,
    tracks: Sequence[Element],
    files: Sequence[File],
    images: NamedImages,
    drawing: Drawing,
    found: list[Problem],
) -> None:
    """Adds the frames of a task, which are some of the images, and what its tracks draw in them."""
    frames = _range(root, task_id)
    first, last = frames.first, frames.last
    file_of = _numbered(path, images.path, files, first)
    there, spans = sorted(file_of), []
    parts: dict[int, list[Part]] = defaultdict(list)
    for count, track in enumerate(tracks, 1):
        place = f"track {track.get('id') or count}"
        report = Reporter(found, path, prefix=f"{place}: ")
        for frame, its_parts in _frames(track, place, frames, there, spans, report, drawing):
            parts[frame] += its_parts
    end = max([last if last is not None else first, *parts])
    missing = sorted(set(parts) - set(file_of))
    number, shown = _without_image(frames, spans, missing, there)
    if number:
        listed = ", ".join(map(str, shown)) + (", ..." if number > len(shown) else "")
        what = f"{images.path} has no image of {number:,} frames with objects: {listed}"
        found.append(Problem("image is missing", path, what, f"They are left out. {_NUMBER_THEM}"))
        drawing.left_out += sum(len(parts[frame]) for frame in missing)
    taken = [frame for frame in there if first <= frame <= end]
    names = [file_of[frame].name for frame in taken]
    reports = [Reporter(found, path, name) for name in names]
    for frame, report, image in zip(taken, reports, images.take(names, reports), strict=True):
        if image:
            shapes, lost = groups.objects(parts.get(frame, ()), report)
            drawing.left_out += lost
            drawing.pictures.append(Picture(image.name, image, path, tuple(shapes)))


def _files(
    path: str, root: Element, of_task: dict[str, list[Element]], images: NamedImages
) -> dict[str, Sequence[File]]:
    """The frames of each task: of several, those in a folder that is called by its id, name, video or subset."""

    def below(*folders: str | None) -> list[File]:
        return [file for file in images.files if {*folders} - {None, ""} & {*file.name.split("/")[:-1]}]

    if len(of_task) == 1:
        (task_id, tracks), *_ = of_task.items()
        return {task_id: below(tracks[0].get("subset")) or images.files}
    files = {}
    for task_id, tracks in sorted(of_task.items()):
        task = _task(root, task_id)
        name, video = (task.findtext(key) if task is not None else None for key in ("name", "source"))
        called = (task_id, name, video, os.path.splitext(video or "")[0])
        files[task_id] = below(*called) or below(tracks[0].get("subset"))
    one_each = len({file for those in files.values() for file in those}) == sum(map(len, files.values()))
    if not one_each or not all(files.values()):
        what = f"{path} has tracks of the tasks {', '.join(files)}, and the frames of each count from its own first"
        remedy = f"put the frames of each into a folder of {images.path} that is called by its number"
        raise Refused(f"{what}: {remedy}, or name a subset of one task with --source_split")
    return files


def _task(root: Element, task_id: str) -> Element | None:
    """What the file says of a task, as one of a project or alone."""
    tasks = root.findall("meta//task")
    return next((task for task in tasks if task_id and task.findtext("id") == task_id), root.find("meta"))


@dataclass(frozen=True)
class _Range:
    """The frames of a task: each `step`-th one of a video from the first to the last, if the file says that."""

    first: int
    last: int | None
    step: int

    def within(self, start: int, stop: int) -> range:
        """Those of the task from `start` to before `stop`."""
        return range(start + (self.first - start) % self.step, stop, self.step)


def _range(root: Element, task_id: str) -> _Range:
    task = _task(root, task_id)

    def text(name: str) -> str:
        return (task.findtext(f".//{name}") if task is not None else None) or ""

    first, last, size = (whole(text(name)) for name in ("start_frame", "stop_frame", "size"))
    first = first if first is not None and first >= 0 else 0
    step = max(whole(text("frame_filter").strip().removeprefix("step=")) or 1, 1)
    if last is None and size is not None:
        last = first + (size - 1) * step
    return _Range(first, last if last is not None and last < _MOST_FRAMES else None, step)


def _numbered(path: str, folder: str, files: Sequence[File], first: int) -> dict[int, File]:
    """The image of each frame, by the last number of its name."""
    file_of: dict[int, File] = {}
    exported = True
    for file in files:
        stem = os.path.splitext(os.path.basename(file.name))[0]
        digits = re.search(r"(\d{1,15})\D*$", stem)
        exported = exported and bool(_EXPORTED.fullmatch(stem))
        if digits and file_of.setdefault(int(digits[1]), file) is not file:
            both = f"{file_of[int(digits[1])].name} and {file.name} may both be frame {int(digits[1])} of {path}"
            raise Refused(f"{both}; give the folder of one video with --images")
    if not file_of or (not exported and min(file_of) != first):
        begin = f"begin with {min(file_of)}" if file_of else "have no numbers"
        raise Refused(f"the frames of {path} count from {first}, and the files of {folder} {begin}. {_NUMBER_THEM}")
    return file_of


def _without_image(
    frames: _Range, spans: Sequence[range], keys: Sequence[int], there: Sequence[int]
) -> tuple[int, list[int]]:
    """How many frames with objects have no image, and the first of them.

    Args:
        frames: of the task.
        spans: of frames between keyframes; ranges, for a small file may have tens of millions of frames.
        keys: keyframes without an image.
        there: frames with an image, in their order.
    """
    others = [key for key in keys if key not in frames.within(key, key + 1)]  # CVAT writes none such.
    number, shown, end = len(others), [], 0
    for span in sorted([*spans, *(range(key, key + 1) for key in keys)], key=lambda span: span.start):
        start, end = max(span.start, end), max(span.stop, end)
        wanted = frames.within(start, end)
        images = {*there[bisect.bisect_left(there, start) : bisect.bisect_left(there, end)]}
        missing = (frame for frame in wanted if frame not in images)
        number += len(wanted) - sum(image in wanted for image in images)
        shown += itertools.islice(missing, max(0, _SHOWN - len(shown)))
    return number, sorted([*shown, *others])[:_SHOWN]


def _frames(
    track: Element,
    place: str,
    frames: _Range,
    there: Sequence[int],
    spans: list[range],
    report: Reporter,
    drawing: Drawing,
) -> Iterator[tuple[int, list[Part]]]:
    """Keyframes of a track in which its object is seen, frames with an image between them, and its parts there.

    All frames between keyframes are added to `spans`, and objects in those without an image to what is left out.
    """
    last = frames.last
    label, shapes = track.get("label") or "", {}
    for element in track:
        frame = whole(element.get("frame"))
        if frame is None or not 0 <= frame < _MOST_FRAMES:
            what = f"a {element.tag} has the frame {element.get('frame')!r}"
            report("frame is no number", what, "The shape is left out: correct its frame.")
            drawing.left_out += 1
        else:
            shapes[frame] = element
    keys = sorted(shapes)
    for frame, following in zip(keys, [*keys[1:], None], strict=True):
        element = shapes[frame]
        if element.get("outside") == "1":
            continue
        end = following if following is not None else (last if last is not None else frame) + 1
        other = shapes[following] if following is not None else element
        between_keys = range(frame + 1, min(end, there[-1] + 1))
        wanted = frames.within(between_keys.start, between_keys.stop)
        images = there[bisect.bisect_right(there, frame) : bisect.bisect_left(there, end)]
        seen = [image for image in images if image in wanted]
        for between in [frame, *seen]:
            share = (between - frame) / max(end - frame, 1)  # The task may end before its last keyframe.
            try:
                whole_one = element if between == frame else _between(element, other, share)
                yield between, cvat_shape.parts(whole_one, label, f"{place}, frame {between}", None, report)
            except LeftOut:
                drawing.left_out += 1
                break
        else:
            spans.append(between_keys)
            drawing.left_out += len(wanted) - len(seen)


def _between(one: Element, two: Element, share: float) -> Element:
    """The shape between two keyframes, `share` of the way: CVAT moves boxes and points in straight lines.

    The first is held where it cannot be moved: the object then leaves, or the second has other points.
    """
    made = Element(one.tag, dict(one.attrib))
    if two.tag != one.tag or two.get("outside") == "1":
        made.extend(one)
        return made
    for name in ("xtl", "ytl", "xbr", "ybr", "cx", "cy", "rx", "ry", "points"):
        if name in one.attrib and name in two.attrib:
            made.set(name, _moved(one.attrib[name], two.attrib[name], share))
    if "rotation" in {*one.attrib, *two.attrib}:
        start, end = (number(element.get("rotation")) or 0.0 for element in (one, two))
        made.set("rotation", repr(start + share * ((end - start + 180) % 360 - 180)))  # the shorter way round
    joints = {joint.get("label"): joint for joint in two}
    for joint in one:
        other = joints.get(joint.get("label"))
        made.append(joint if other is None else _between(joint, other, share))
    return made


def _moved(one: str, two: str, share: float) -> str:
    """Numbers of a text, share of the way to those of another; the first where they are not as many."""
    numbers = [re.findall(r"[^,;]+", text) for text in (one, two)]
    if len(numbers[0]) != len(numbers[1]):
        return one
    pairs = [(number(a), number(b)) for a, b in zip(*numbers, strict=True)]
    if any(None in pair for pair in pairs):
        return one
    values = iter(repr(a + share * (b - a)) for a, b in pairs if a is not None and b is not None)
    return re.sub(r"[^,;]+", lambda _: next(values), one)
