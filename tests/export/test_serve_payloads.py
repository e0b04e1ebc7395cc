"""What a request may hold: pictures in any of the forms, and a sentence for everything else."""

import base64
import io
import json
import re
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("orjson", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

from export.server import pictures, requests, tensor_bytes
from export.server.errors import Refused

LIMITS = requests.Bounds(max_megapixels=0.01, max_pictures=3)
PIXELS = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
PIXEL = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 1, 3], "data": [1, 2, 3]}
FILES = {"name": "image_bytes", "datatype": "BYTES", "shape": [1]}
RAW_PIXELS = {"name": "image", "datatype": "UINT8", "shape": [1, 4, 5, 3], "parameters": {"binary_data_size": 60}}


def png(pixels=PIXELS):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def text(content=None):
    return base64.b64encode(png() if content is None else content).decode()


def v1(instances, **more):
    return requests.of_v1(json.dumps({"instances": instances, **more}).encode(), "application/json", LIMITS)


def columns(inputs):
    return requests.of_v1(json.dumps({"inputs": inputs}).encode(), "application/json", LIMITS)


def v2(binary=b"", **tensor):
    body = json.dumps({"inputs": [tensor]}).encode()
    return requests.of_v2(body + binary, str(len(body)) if binary else None, LIMITS)


def refused(function, *arguments, **named):
    with pytest.raises(Refused) as caught:
        function(*arguments, **named)
    assert 400 <= caught.value.status < 500
    return caught.value.sentence


def elements(*contents):
    return b"".join(struct.pack("<I", len(content)) + content for content in contents)


@pytest.mark.parametrize(
    "asked",
    [
        lambda: v1([{"b64": text()}]),
        lambda: v1([{"image_bytes": {"b64": text()}}], signature_name="serving_default"),
        lambda: v1([PIXELS.tolist()]),
        lambda: v1([{"image": PIXELS.tolist()}], signature_name="image_tensor"),
        lambda: v1([{"b64": base64.encodebytes(png()).decode().replace("\n", "\r\n")}]),
        lambda: columns([{"b64": text()}]),
        lambda: columns({"image_bytes": [{"b64": text()}]}),
        lambda: columns({"image": [PIXELS.tolist()]}),
        lambda: requests.of_v1(png(), "image/png", LIMITS),
        lambda: v2(**FILES, data=[text()]),
        lambda: v2(**FILES | {"shape": [1, 1], "data": [[text()]]}),
        lambda: v2(**PIXEL | {"shape": [1, 4, 5, 3], "data": PIXELS.ravel().tolist()}),
        lambda: v2(**PIXEL | {"shape": [1, 4, 5, 3], "data": [PIXELS.tolist()]}),
        lambda: v2(PIXELS.tobytes(), **RAW_PIXELS),
        lambda: v2(elements(png()), **FILES, parameters={"binary_data_size": len(elements(png()))}),
    ],
)
def test_the_same_picture_comes_in_every_form(asked):
    (picture,) = asked().pictures
    np.testing.assert_array_equal(picture.decode(), PIXELS)
    assert picture.pixels == 20


def test_pictures_keep_their_order():
    others = [np.full([2, 2, 3], value, np.uint8) for value in (7, 8, 9)]
    asked = v1([{"b64": text(png(one))} for one in others])
    assert [int(picture.decode()[0, 0, 0]) for picture in asked.pictures] == [7, 8, 9]


@pytest.mark.parametrize(
    "body, sentence",
    [
        (b"", "the body is empty; expected"),
        (b"{", "the body is not JSON"),
        (b"\xff\xd8\xff", "the body is not JSON.* with the header Content-Type: image/jpeg"),
        (b"--x\r\nContent-Disposition: form-data", "the header Content-Type: image/jpeg"),
        (b"[" * 5000, "the body is not JSON"),
        (b"[]", r"the body is \[...\] .a list., not an object; expected"),
        (b'{"pictures": 1}', "the keys .*pictures.* and no 'instances'; expected"),
        (b'{"inputs": 1}', "inputs is 1 .a whole number., not a list; expected"),
        (b'{"instances": [[[[1, 2, 3]]]], "inputs": [[[[1, 2, 3]]]]}', "has both 'instances' and 'inputs'"),
        (b'{"instances": {}}', "instances is {...} .an object., not a list; expected"),
        (b'{"instances": []}', "'instances' is empty: the batch has no picture"),
        (b'{"instances": [1, 2]}', r"instances\[0\] is 1 .a whole number., not an object; expected"),
        (b'{"instances": [null]}', r"instances\[0\] is null"),
        (b'{"instances": [{"b64": 5}]}', r"instances\[0\] is 5 .a whole number., not text; expected"),
        (b'{"instances": [{"b64": "??"}]}', r"instances\[0\] is not base64"),
        (b'{"instances": [{"b64": ""}]}', r"instances\[0\]: no bytes"),
        (b'{"instances": [{"b64": "aGVsbG8="}]}', r"instances\[0\]: not an image; it starts with b'hello', and"),
        (b'{"instances": [{"jpeg": "aGVsbG8="}]}', r"instances\[0\] has the keys \['jpeg'\]; expected"),
        (b'{"instances": [[[[1.5, 2, 3]]]]}', r"\[0\]: pixels are fractions; expected whole numbers in 0..255"),
        (b'{"instances": [%s1%s]}' % (b'{"image": ' * 900, b"}" * 900), "has the keys"),
        (b'{"instances": [[[[true, true, true]]]]}', "pixels are true and false"),
        (b'{"instances": [[[["a", "b", "c"]]]]}', "pixels are something else than numbers"),
        (b'{"instances": [[[[256, 2, 3]]]]}', r"pixels are in 2..256; expected 0..255"),
        (b'{"instances": [[[[-1, 2, 3]]]]}', r"pixels are in -1..3"),
        (b'{"instances": [[[1, 2, 3]]]}', r"the shape \[1, 3\]; expected \[height, width, 3\]"),
        (b'{"instances": [[[[1, 2, 3]], [[1, 2]]]]}', "do not all have the same length"),
        (b'{"instances": [[]]}', r"the shape \[0\]; expected"),
        (b'{"instances": [[[[1, 2, 3]]]], "signature_name": "x"}', "signature_name is 'x'; this server has"),
    ],
)
def test_a_v1_request_that_cannot_be_is_refused_with_what_is_wrong_and_what_is_expected(body, sentence):
    said = refused(requests.of_v1, body, "application/json", LIMITS)
    assert re.search(sentence, said)


@pytest.mark.parametrize(
    "tensor, sentence",
    [
        (PIXEL | {"datatype": "FP32"}, "'FP32'; expected UINT8"),
        (PIXEL | {"name": "pixels"}, "named 'pixels'; expected 'image_bytes'"),
        (PIXEL | {"shape": [1, 1, 1]}, r"expected \[B, height, width, 3\]"),
        (PIXEL | {"shape": [1, 2, 1, 3]}, "and 3 values"),
        (PIXEL | {"shape": [0, 2, 1, 3], "data": []}, "the batch has no picture"),
        (PIXEL | {"shape": [1, 0, 1, 3], "data": []}, "has nothing in it"),
        (PIXEL | {"shape": [1, 1.5, 1, 3]}, "expected whole numbers"),
        (PIXEL | {"data": [1, 2, 300]}, "expected 0..255"),
        (FILES | {"shape": [2], "data": ["aGVsbG8="]}, "and 1 elements"),
        (FILES, "neither 'data' nor"),
        ({"name": "image_bytes", "datatype": "BYTES", "data": []}, "shape is null .null., not a list"),
        (FILES | {"parameters": {"binary_data_size": 9}}, "binary_data_size is 9, and 0 bytes follow"),
    ],
)
def test_a_v2_request_that_cannot_be_is_refused_with_what_is_wrong(tensor, sentence):
    assert re.search(sentence, refused(v2, **tensor))


@pytest.mark.parametrize("end, sentence", [(-3, "says that it has"), (2, "end inside a length")])
def test_bytes_that_end_inside_an_element_are_refused(end, sentence):
    cut = elements(png())[:end]
    assert sentence in refused(v2, cut, **FILES, parameters={"binary_data_size": len(cut)})


@pytest.mark.parametrize(
    "tensor, sentence",
    [
        (RAW_PIXELS, "binary_data_size is 60, and 63 bytes follow the JSON"),
        (RAW_PIXELS | {"data": PIXELS.ravel().tolist()}, "has 'data', and 63 bytes follow the JSON as well"),
    ],
)
def test_bytes_that_no_tensor_has_are_refused_rather_than_passed_over(tensor, sentence):
    assert sentence in refused(v2, PIXELS.tobytes() + b"abc", **tensor)


@pytest.mark.parametrize("more", ['[["%s"], 1]', '[[[1, 2, "%s"]]]'])
def test_texts_among_pixels_are_refused_before_an_array_is_made_of_them(more):
    """A text of 4 kB among 4,000 numbers would be an array of 64 MB."""
    rows = ", ".join([more % ("a" * 4000), *["1"] * 4000])
    tracemalloc.start()
    said = refused(requests.of_v1, f'{{"instances": [[{rows}]]}}'.encode(), "application/json", LIMITS)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "something else than numbers" in said and most < 2e6


def test_elements_of_bytes_come_back_and_are_cut_nowhere():
    elements = [b"ab", b"", b"c" * 300, b""]
    packed = b"".join(map(tensor_bytes.pack, elements))
    assert tensor_bytes.unpack(packed) == elements and tensor_bytes.unpack(b"") == []
    ends = {0, 6, 10, 314, 318}
    for end in range(len(packed) + 1):
        if end in ends:
            assert tensor_bytes.unpack(packed[:end]) == elements[: sorted(ends).index(end)]
        else:
            with pytest.raises(
                ValueError, match="a length" if any(0 < end - start < 4 for start in ends) else "an element"
            ):
                tensor_bytes.unpack(packed[:end])


def test_outputs_and_lengths_that_make_no_sense_are_refused():
    body = json.dumps({"inputs": [PIXEL], "outputs": [{"name": "scores"}] * 1000}).encode()
    assert "outputs[1] is 'scores' again; name each output once" in refused(requests.of_v2, body, None, LIMITS)
    body = json.dumps({"inputs": [PIXEL], "outputs": [{"name": "scores", "parameters": [1]}]}).encode()
    assert "outputs[0].parameters is [...] (a list), not an object" in refused(requests.of_v2, body, None, LIMITS)
    assert "expected the length of the JSON" in refused(requests.of_v2, body, "9" * 5000, LIMITS)


MANY = requests.MAX_VALUES // 2 + 1


@pytest.mark.parametrize(
    "body",
    [b"[" + b"[]," * MANY + b"1]", b"[" + b"{}," * MANY + b"1]", b"[" + b"1," * 2 * MANY + b"1]", b'{"a":1,' * MANY],
    ids=["lists", "objects", "numbers", "names"],
)
@pytest.mark.parametrize("read", [requests.of_v1, requests.of_v2])
def test_a_body_of_too_many_values_is_refused_before_objects_are_made_of_them(read, body):
    tracemalloc.start()
    sentence = refused(read, body, "", LIMITS)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "more than 2,097,152 values of JSON; send files in base64" in sentence and most < 2 * len(body)


LONG = "a" * 1_000_000


@pytest.mark.parametrize(
    "read",
    [
        lambda: v1([{LONG: 1}]),
        lambda: v1([{"b64": text()}], signature_name=LONG),
        lambda: requests.of_v1(json.dumps({LONG: 1, LONG + "b": 2}).encode(), "", LIMITS),
        lambda: v1([{f"{i}{LONG}": i for i in range(20)}]),
        lambda: v1([{"b64": LONG + "?"}]),
        lambda: v2(**PIXEL | {"name": LONG}),
        lambda: v2(**PIXEL | {"datatype": LONG}),
        lambda: v2(**PIXEL | {"shape": [LONG]}),
        lambda: v2(**PIXEL | {"shape": [1] * 100_000}),
        lambda: v2(**FILES | {"parameters": {"binary_data_size": LONG}}),
        lambda: requests.of_v2(json.dumps({"id": LONG, "inputs": [PIXEL]}).encode(), None, LIMITS),
        lambda: requests.of_v2(json.dumps({"inputs": [PIXEL] * 2}).replace("image", LONG).encode(), None, LIMITS),
        lambda: requests.of_v2(b"{}", LONG, LIMITS),
    ],
)
def test_a_sentence_is_short_however_long_what_it_refuses(read):
    assert len(refused(read)) < 1000


def test_a_bomb_is_refused_by_its_header():
    """A PNG of 400 megapixels of one colour has 50 kB; decoded it would be 1.2 GB."""
    head = io.BytesIO()
    Image.new("1", (20000, 20000)).save(head, "PNG")
    with pytest.raises(Refused) as caught:
        pictures.of("instances[0]", head.getvalue(), 50)
    assert caught.value.status == 413 and "--max_megapixels" in caught.value.sentence
    assert "instances[0]: the picture is not decoded: " in caught.value.sentence


def test_more_pictures_than_may_wait_are_too_many():
    assert "4 pictures; this server takes up to 3" in refused(v1, [{"b64": text()}] * 4)


def test_a_picture_that_was_cut_off_says_where_it_stands():
    noise = np.random.default_rng(0).integers(0, 255, [60, 60, 3], np.uint8)
    (picture,) = v1([{"b64": text(png(noise)[:-5000])}]).pictures
    with pytest.raises(Refused, match=r"instances\[0\]: the picture cannot be decoded .*was all of the file sent"):
        picture.decode()
