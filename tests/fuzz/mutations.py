"""Seeded damage of a file by its kind: a tree of JSON, the words of a text, a field of a record, or any bytes."""

import copy
import gzip
import io
import json
import re
import tarfile
import zipfile
from random import Random

from google.protobuf.message import DecodeError

from tfrecog.cli import checksums
from tfrecog.data import frames
from tfrecog.data.example import Example

NAMES = ("", "../escaped.png", "../../escaped.png", "a/../../escaped.png", "/dev/zero", ".", "a\0b", "é.png", "a.png")
ODD = (
    *(None, True, False, 0, -1, 1, 2, 0.5, 1e308, -1e308, float("nan"), float("inf"), 10**307, 2**63, 10**18),
    *("1", "0.5", "false", "nan", "x", "x" * 5000, "\ud800", "\udfff.png", *NAMES),
    *([], [[]], [None], [1], ["1"], [[1, 2]], [1, 2, 3, 4], [[1, 2, 3, 4, 5, 6]], [1e-300] * 4, [10**307] * 4),
    *({}, {"a": 1}, {"size": [40, 60], "counts": [2400]}, {"size": ["40", 60.0], "counts": "x"}, {"counts": [None]}),
)  # fmt: skip
WORDS = (
    *(b"", b"0", b"-1", b"1.5", b"1e999", b"-1e308", b"nan", b"9" * 400, b"true", b"x" * 5000, b"../../escaped.png"),
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", "é".encode(), b"\r", b"\n", b"'", b'"', b"&#0;", b"&x;"),
    *(b"<!DOCTYPE x [<!ENTITY x 'x'>]>", b"<", b">", b"{", b"}", b"[", b",", b";", b"--", b"#", b"%s", b"*x"),
)  # fmt: skip
VALUES = {
    "bytes_list": (b"", b"\xff", b"x" * 5000, b"/../../escaped", *(name.encode() for name in NAMES)),
    "float_list": (0.0, -1.0, 2.0, float("nan"), float("inf"), -1e38),
    "int64_list": (0, -1, 1, 2, 10**6, 2**31, 2**63 - 1, -(2**63)),
}


def damaged(name: str, content: bytes, rng: Random) -> bytes:
    """The content of a file, changed in one place or a few; one file in five as any bytes, whatever it is."""
    change = next((change for suffix, change in BY_SUFFIX.items() if name.endswith(suffix)), any_bytes)
    if rng.random() < 0.2:
        change = any_bytes
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = change(content, rng)
    return content


def any_bytes(content: bytes, rng: Random) -> bytes:
    """A flip, another byte, a cut, an insertion, a repetition or an end, half of them among the first 64 bytes."""
    if not content:
        return b"x"
    at = rng.randrange(min(len(content), 64) if rng.random() < 0.5 else len(content))
    before, after = content[:at], content[at:]
    how = rng.randrange(6)
    if how == 0:
        return before + bytes([after[0] ^ 1 << rng.randrange(8)]) + after[1:]
    if how == 1:
        return before + bytes([rng.choice((0, 1, 127, 128, 255, *b'"[{-9'))]) + after[1:]
    if how == 2:
        return before + after[rng.randrange(1, 20) :]
    if how == 3:
        return before + rng.randbytes(rng.randrange(1, 8)) + after
    if how == 4:
        start = rng.randrange(len(content))
        return before + content[start : start + rng.randrange(1, 40)] + after
    return before


class _Twin(str):
    """A key of JSON that an object can have a second time."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


def tree(content: bytes, rng: Random) -> bytes:
    """JSON of which one value is another, gone, there twice, or deeper."""
    root = json.loads(content)
    places = list(_places(root))
    if not places or rng.random() < 0.02:
        return json.dumps(rng.choice(ODD)).encode()
    # By name first: else the numbers of polygons would be almost all.
    name = rng.choice(sorted({key if isinstance(key, str) else "" for _, key in places}))
    parent, key = rng.choice([place for place in places if place[1] == name or not (name or isinstance(place[1], str))])
    how = rng.random()
    if how < 0.6:
        parent[key] = rng.choice(ODD)
    elif how < 0.7:
        del parent[key]
    elif how < 0.8:
        twin = rng.choice((copy.deepcopy(parent[key]), rng.choice(ODD)))
        if isinstance(parent, list):
            parent.insert(key, twin)
        else:
            parent[_Twin(key)] = twin
    elif how < 0.9:
        other, at = rng.choice(places)
        parent[key] = copy.deepcopy(other[at])
    else:
        parent[key] = rng.choice(([parent[key]], {key: parent[key]}, str(parent[key])))
    return json.dumps(root).encode()


def _places(root):
    """Each list or object of a tree with each of its keys."""
    waiting = [root]
    while waiting:
        parent = waiting.pop()
        if isinstance(parent, dict | list):
            for key, value in parent.items() if isinstance(parent, dict) else enumerate(parent):
                yield parent, key
                waiting.append(value)


def text(content: bytes, rng: Random) -> bytes:
    """A text of which a word or a line is another, gone, or there twice."""
    parts = re.split(rb"(\n)" if rng.random() < 0.25 else rb"([\s<>/,;:=\"'\[\]{}]+)", content)
    at, other = (2 * rng.randrange((len(parts) + 1) // 2) for _ in range(2))
    how = rng.randrange(5)
    if how < 2:
        parts[at] = rng.choice(WORDS)
    elif how == 2:
        parts[at : at + 2] = []
    elif how == 3:
        parts[at:at] = parts[at : at + 2]
    else:
        parts[at], parts[other] = parts[other], parts[at]
    return b"".join(parts)


def records(content: bytes, rng: Random) -> bytes:
    """A TFRecord file of which one record is another in its frame, whose checksums fit."""
    payloads, at = [], 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 8], "little")
        payloads.append(content[at + frames.HEADER : at + frames.HEADER + size])
        at += frames.HEADER + size + frames.FOOTER
    chosen = rng.randrange(len(payloads))
    payloads[chosen] = rng.choice((any_bytes, _field))(payloads[chosen], rng)
    return b"".join(map(frames.pack, payloads))


def _field(payload, rng):
    """An Example of which one feature has another value, one more or one less, or is gone."""
    try:
        example = Example.FromString(payload)
    except DecodeError:
        return any_bytes(payload, rng)
    features = example.features.feature
    key = rng.choice(sorted(features) or [""])
    kind, how = features[key].WhichOneof("kind"), rng.randrange(4)
    if kind is None or how == 0:
        del features[key]
        return example.SerializeToString(deterministic=True)
    values = getattr(features[key], kind).value
    if how == 1:
        values.append(rng.choice(VALUES[kind]))
    elif how == 2 or not values:
        del values[-1:]
    else:
        values[rng.randrange(len(values))] = rng.choice(VALUES[kind])
    return example.SerializeToString(deterministic=True)


def tarred(content: bytes, rng: Random) -> bytes:
    """A tar of which one member has another name, kind, link or size."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            members = [(one, archive.extractfile(one).read() if one.isreg() else b"") for one in archive]
        chosen = rng.choice(members)[0]
    except (tarfile.TarError, OSError, IndexError):
        return any_bytes(content, rng)
    how = rng.randrange(4)
    if how == 0:
        chosen.name = rng.choice((*NAMES, "a/\udcff.png", "a/" * 60 + "1.png", rng.choice(members)[0].name))
    elif how == 1:
        chosen.type = rng.choice((tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE))
    elif how == 2:
        chosen.type, chosen.linkname = tarfile.LNKTYPE, rng.choice((*NAMES, *(one.name for one, _ in members)))
    else:
        chosen.size = rng.choice((0, 1, 2**20, 2**40, 2**62))
    made = [one.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + data for one, data in members]
    return b"".join(block + bytes(-len(block) % tarfile.BLOCKSIZE) for block in made) + bytes(2 * tarfile.BLOCKSIZE)


def zipped(content: bytes, rng: Random) -> bytes:
    """A zip of which one member is another or gone, whose checksums fit; other files as any bytes."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return any_bytes(content, rng)
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        chosen = rng.choice(old.namelist() or [""])
        gone = rng.random() < 0.1
        for name in old.namelist():
            if name != chosen or not gone:
                data = old.read(name)
                new.writestr(zipfile.ZipInfo(name), any_bytes(data, rng) if name == chosen else data)
    return made.getvalue()


def sealed(content: bytes, rng: Random) -> bytes:
    """A zip with a checksum at its end, as an index is."""
    return checksums.seal(zipped(content, rng))


def gzipped(content: bytes, rng: Random) -> bytes:
    """What is compressed is another."""
    return gzip.compress(any_bytes(gzip.decompress(content), rng), mtime=0)


def safetensors(content: bytes, rng: Random) -> bytes:
    """The header is another, of a length that fits."""
    size = int.from_bytes(content[:8], "little")
    header = tree(content[8 : 8 + size], rng)
    return len(header).to_bytes(8, "little") + header + content[8 + size :]


BY_SUFFIX = {
    ".json": tree,
    **dict.fromkeys((".xml", ".txt", ".csv", ".yaml", ".pbtxt", ".flags", ".http"), text),
    ".tfrecord": records,
    ".tar": tarred,
    ".index.npz": sealed,
    **dict.fromkeys((".npz", ".pth"), zipped),
    ".gz": gzipped,
    ".safetensors": safetensors,
}
