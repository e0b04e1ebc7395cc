"""Encoded pictures upright by their EXIF orientation, in TensorFlow's operations: the rule of `data.orientation`."""

from collections.abc import Callable

import tensorflow as tf

from tfrecog.data import image, orientation
from tfrecog.data.reading import Reading

_SEGMENTS = 4096  # of a file that are looked at: none makes the walk long
_BYTES = 12  # that say what a segment is
_HEADER = 25  # bytes of a WebP that say what is in it, by these bits
_FRAMES, _EXIF, _ALPHA = 2, 8, 16
_TO_THE_END = 2**40  # bytes
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_KINDS = (_JPEG, _PNG, b"GIF8", b"BM")
_REFUSED = (
    "image_bytes is no JPEG, PNG, GIF, BMP or WebP file, or a WebP with several frames or transparency. Send it as one "
    "of these, or its pixels to the signature image_tensor"
)


def decode(encoded, reading: Reading):
    """Image [H, W, 3] uint8 of the bytes [] of a file: most often as viewers show it."""
    head = _numbers(encoded, 0, _HEADER)
    extended, lossless = (_is(head[12:], kind) for kind in (b"VP8X", b"VP8L"))
    refused = (extended & (_has(head[20], _FRAMES) | _has(head[20], _ALPHA))) | (lossless & _has(head[24], _ALPHA))
    known = tf.reduce_any([_is(head, magic) for magic in _KINDS]) | (_is_webp(head) & ~refused)
    checked = tf.debugging.Assert(known, [_REFUSED])
    with tf.control_dependencies([] if checked is None else [checked]):  # Eagerly it has been checked.
        picture = image.decode(encoded, reading.ranges)
        return turned(picture, of(encoded)) if reading.upright else picture


def turned(picture, number):
    """The picture [H, W, 3] upright of one [h, w, 3] that a file with an EXIF orientation, 1 to 8, stores."""
    picture = tf.cond(number >= 5, lambda: tf.transpose(picture, [1, 0, 2]), lambda: picture)
    rows, columns = (tf.reduce_any(tf.equal(number, those)) for those in ([3, 4, 7, 8], [2, 3, 6, 7]))
    reversed_ = tf.cond(
        rows | columns, lambda: tf.raw_ops.Reverse(tensor=picture, dims=[rows, columns, False]), lambda: picture
    )
    return tf.ensure_shape(reversed_, [None, None, 3])


def of(encoded):
    """EXIF's orientation, int32 [] from 1 to 8, of the bytes [] of a JPEG, PNG or WebP file; 1 of others."""
    head = _numbers(encoded, 0, _BYTES)
    exif = tf.case(
        [
            (_is(head, _JPEG), lambda: _exif(encoded, 2, _of_jpeg)),
            (_is(head, _PNG), lambda: _exif(encoded, 8, _of_png)),
            (_is_webp(head), lambda: _exif_of_webp(encoded)),
        ],
        default=lambda: tf.constant(b""),
    )
    return tf.cond(tf.equal(exif, b""), lambda: tf.constant(1), lambda: _orientation(exif))


def _exif(encoded, start: int, segment: Callable):
    """The EXIF data [] of a file, empty without; its segments, as `segment` reads them, begin at byte `start`."""
    length = tf.strings.length(encoded)

    def body(count, at, _):
        is_exif, data, size, step = segment(_numbers(encoded, at, _BYTES))
        # A step too long ends the walk, however long it says that it is.
        after = tf.cast(tf.minimum(tf.cast(at, tf.int64) + step, tf.cast(length, tf.int64)), tf.int32)
        found = tf.cond(is_exif, lambda: _part(encoded, at + data, size), lambda: tf.constant(b""))
        return count + 1, after, found

    _, _, exif = tf.while_loop(
        lambda count, at, found: (count < _SEGMENTS) & (at < length) & tf.equal(found, b""),
        body,
        (tf.constant(0), tf.constant(start), tf.constant(b"")),
        parallel_iterations=1,
    )
    return exif


def _of_jpeg(head):
    """Whether a segment of JPEG is EXIF, where its data begin and how long they are, and bytes to the next one."""
    size = _number(head[2:4])
    marker = tf.equal(head[0], 0xFF)
    sized = marker & (head[1] >= 0xC0) & (head[1] < 0xFF) & ((head[1] < 0xD0) | (head[1] > 0xD9))
    step = tf.where(_is(head, b"\xff\xda"), _TO_THE_END, tf.where(sized, 2 + size, 1))  # The pixels follow 0xDA.
    return _is(head, b"\xff\xe1") & _is(head[4:], orientation.PREFIX) & (size > 8), 4, size - 2, step


def _of_png(head):
    size = _number(head[:4])
    return _is(head[4:], b"eXIf"), 8, size, tf.where(_is(head[4:], b"IEND"), _TO_THE_END, 12 + size)


def _exif_of_webp(encoded):
    """The EXIF data [] of a WebP file, empty without; its header says whether it has some, and where it ends."""
    head = _numbers(encoded, 0, _HEADER)
    stated = _is(head[12:], b"VP8X") & _has(head[20], _EXIF)
    end = 8 + _number(head[4:8], little=True)
    return tf.cond(stated, lambda: _exif(_part(encoded, 0, end), 12, _of_webp), lambda: tf.constant(b""))


def _of_webp(head):
    size = _number(head[4:8], little=True)
    return _is(head, b"EXIF"), 8, size, 8 + size + size % 2


def _orientation(exif):
    """`data.orientation.of` EXIF data []."""
    exif = tf.cond(_is(_numbers(exif, 0, 6), orientation.PREFIX), lambda: _part(exif, 6, _TO_THE_END), lambda: exif)
    head, length = _numbers(exif, 0, 8), tf.cast(tf.strings.length(exif), tf.int64)
    little, big = (_is(head, mark) for mark in orientation.ORDERS)
    start = _number(head[4:], little)
    count = _number(_numbers(exif, start, 2), little)
    whole = tf.clip_by_value((length - start - 2) // 12, 0, count)  # Where the data end before, as many as are whole.
    entries = tf.io.decode_raw(_part(exif, start + 2, 12 * whole), tf.uint8)
    entries = tf.concat([tf.cast(tf.reshape(entries, [-1, 12]), tf.int64), tf.zeros([1, 12], tf.int64)], 0)
    entry = tf.gather(entries, tf.argmax(tf.equal(_number(entries[:, :2], little), orientation.TAG)))  # 0 without one
    tag, kind, values, value = (_number(entry[at:end], little) for at, end in ((0, 2), (2, 4), (4, 8), (8, 10)))
    wanted = tf.equal([tag, kind, values], [orientation.TAG, orientation.SHORT, 1])
    stated = tf.reduce_all(wanted) & (value >= 1) & (value <= 8) & (little | big)
    return tf.cast(tf.where(stated, value, 1), tf.int32)


def _part(text, at, size):
    """The part [] of a text [] from byte `at` on, of `size` bytes, as far as there are any."""
    at = tf.clip_by_value(tf.cast(at, tf.int64), 0, tf.cast(tf.strings.length(text), tf.int64))
    return tf.strings.substr(text, at, tf.maximum(tf.cast(size, tf.int64), 0))


def _numbers(text, at, count: int):
    """Bytes of a text [] as int64 [count], from byte `at` on; behind its end there are zeros."""
    part = _part(text, at, count)
    return tf.cast(tf.io.decode_raw(part, tf.uint8, fixed_length=count), tf.int64)


def _number(bytes_, little=False):
    """The whole number int64 [...] of bytes [..., n], the upper ones first, or the lower ones."""
    weights = [256**place for place in range(bytes_.shape[-1])]
    lower_first, upper_first = (tf.constant(one, tf.int64) for one in (weights, weights[::-1]))
    return tf.reduce_sum(bytes_ * tf.where(little, lower_first, upper_first), axis=-1)


def _is(bytes_, text: bytes):
    """Whether bytes begin as a text."""
    return tf.reduce_all(tf.equal(bytes_[: len(text)], [*text]))


def _has(byte, bit: int):
    """Whether a number has a bit."""
    return tf.equal(byte // bit % 2, 1)


def _is_webp(head):
    return _is(head, b"RIFF") & _is(head[8:], b"WEBP")
