"""How pictures without a validation split are shared out: so that no picture has its like on the other side."""

import itertools
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ALIKE = 6  # bits of 64 in which the hashes of two pictures of one scene differ at most
HASHED = 5000  # pictures, beyond which near duplicates are not looked for
FEW = 30  # pictures, of which a validation split says little
_FRAMES = re.compile(r"^(.*?)(\d+)\D*$")  # a name up to its number, and the number
_EXIF, _TAKEN = 0x8769, 0x9003  # where EXIF data say when a picture was taken
_BLOCKS = 10  # that one film is cut into


@dataclass(frozen=True)
class Shares:
    """How a source is shared out."""

    shares: tuple[str, ...]  # NAME:SHARE
    groups: dict[str, str]  # picture → group, of those that are not alone
    reasons: tuple[str, ...]


def holdout(images: int) -> float:
    """Share of the pictures to evaluate on: 500 of them, but between a tenth and a fifth (AutoGluon's rule)."""
    return round(min(0.2, max(0.1, 500 / images)) if images < 5000 else min(0.1, max(0.01, 2500 / images)), 3)


def of_pictures(folder: str | Path, names: Sequence[str]) -> Shares:
    """The shares of pictures by their names in a folder, with those together that show the same."""
    facts = {name: _looked_at(Path(folder) / name) for name in names} if len(names) <= HASHED else {}
    hashes = {name: fact[0] for name, fact in facts.items() if fact[0] is not None}
    return of_hashes(names, hashes, {name: fact[1] for name, fact in facts.items() if fact[1]})


def of_hashes(names: Sequence[str], hashes: Mapping[str, int], minutes: Mapping[str, str]) -> Shares:
    """The shares of pictures, by the difference hashes of those that have one and the minutes they were taken in."""
    together, reasons = _Together(names), []
    films = films_of(names, hashes)
    several = len(films) > 2
    for film in films:
        size = len(film) if several else max(1, -(-len(film) // _BLOCKS))
        for start in range(0, len(film), size):
            together.join(film[start : start + size])
    if films:
        frames = sum(map(len, films))
        how = "whole films stay together" if several else f"stretches of a {_BLOCKS}th of it stay together"
        count = f"{len(films)} film{'s' * (len(films) > 1)}"
        reasons.append(f"{frames} pictures are frames of {count} by their names and pixels: {how}")
    by_minute = defaultdict(list)
    for name in names:
        if name in minutes:
            by_minute[os.path.dirname(name), minutes[name]].append(name)
    shot = [some for some in by_minute.values() if 1 < len(some) <= max(2, len(names) // 5)]
    for some in shot:
        together.join(some)
    if shot:
        reasons.append(f"{sum(map(len, shot))} pictures were taken in the same minute as another, and stay with it")
    twins = near_duplicates(hashes)
    for pair in twins:
        together.join(pair)
    if twins:
        count = len({name for pair in twins for name in pair})
        reasons.append(f"{count} pictures look almost the same as another, and stay with it")
    groups = together.groups()
    part = holdout(len(names))
    reasons.insert(0, f"{part:.0%} of {len(names)} pictures are kept to evaluate on, with the classes balanced")
    if len(names) < FEW or len(names) - len(groups) + len(set(groups.values())) < 3:
        reasons.append("so few independent pictures flatter a model: try it on new ones before you trust its numbers")
    return Shares((f"train:{1 - part:g}", f"val:{part:g}"), groups, tuple(reasons))


def films_of(names: Sequence[str], hashes: Mapping[str, int]) -> list[list[str]]:
    """Names that are frames of a film, in its order: numbered, and neighbours much more alike than others.

    Numbers alone say nothing: photographs of 200 animals are numbered, too.
    """
    numbered = defaultdict(list)
    for name in names:
        stem, _ = os.path.splitext(name)
        if name in hashes and (found := _FRAMES.match(stem)):
            numbered[found[1]].append((int(found[2]), name))
    films = []
    for some in numbered.values():
        ordered = [name for _, name in sorted(some)]
        if len(ordered) < 6:
            continue
        bits = np.array([hashes[name] for name in ordered], np.uint64)
        near = np.median(np.bitwise_count(bits[1:] ^ bits[:-1]))
        far = np.median(np.bitwise_count(bits ^ np.roll(bits, len(bits) // 2)))
        if near < 0.6 * far:
            films.append(ordered)
    return films


def near_duplicates(hashes: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of pictures whose hashes differ in ALIKE bits at most."""
    names, bits = list(hashes), np.array(list(hashes.values()), np.uint64)
    pairs = []
    for place, name in enumerate(names[:-1]):
        alike = np.flatnonzero(np.bitwise_count(bits[place + 1 :] ^ bits[place]) <= ALIKE)
        pairs += [(name, names[place + 1 + other]) for other in alike.tolist()]
    # Pictures of little variety, such as digits, are alike without being of one scene.
    return pairs if len({name for pair in pairs for name in pair}) <= len(names) / 2 else []


def difference_hash(picture: Image.Image) -> int:
    """64 bits: whether each of 8 x 8 cells is darker than the one to its right."""
    small = np.asarray(picture.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
    bits = (small[:, 1:] > small[:, :-1]).ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def _looked_at(path):
    """Hash of a picture, and the minute it was taken in ("" unknown); None where it cannot be read."""
    try:
        with Image.open(path) as picture:
            taken = str(picture.getexif().get_ifd(_EXIF).get(_TAKEN, ""))[:16]
            picture.draft("L", (64, 64))
            return difference_hash(picture), taken if re.match(r"\d{4}:\d\d:\d\d \d\d:\d\d", taken) else ""
    except Exception:  # Files of strangers make Pillow raise many kinds; the pipeline names them.
        return None, ""


class _Together:
    """Sets of names that grow together."""

    def __init__(self, names):
        self.root = {name: name for name in names}

    def of(self, name):
        while self.root[name] != name:
            self.root[name] = self.root[self.root[name]]
            name = self.root[name]
        return name

    def join(self, names):
        for one, other in itertools.pairwise(names):
            self.root[self.of(other)] = self.of(one)

    def groups(self):
        members = defaultdict(list)
        for name in self.root:
            members[self.of(name)].append(name)
        return {name: some[0] for some in members.values() if len(some) > 1 for name in some}
