import json
from typing import Any, TypedDict

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.build.problems import Refused
from pipelines.formats import json_stream

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


class A(TypedDict, total=False):
    """Of an object its member a."""

    a: Any


PLAIN, QUICK = json_stream.Elements(), json_stream.Elements(quick=msgspec.json.Decoder(dict))
QUICK_A = json_stream.Elements(quick=msgspec.json.Decoder(A))


def read(path, how=PLAIN):
    """The object of a file, and the texts of the elements of its long lists."""
    tree, texts = {}, []
    for name, value in json_stream.members(str(path), {"long": how}, "a JSON file"):
        if hasattr(value, "__next__"):
            pairs = list(value)
            value, texts = [element for element, _ in pairs], texts + [text for _, text in pairs]
        tree[name] = value
    return tree, texts


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    tree=st.dictionaries(
        st.sampled_from(["long", "other", "é"]),
        VALUES | st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3)),
        max_size=3,
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    indent=st.none() | st.integers(0, 3),
    ascii_only=st.booleans(),
    chunk=st.integers(1, 9) | st.integers(10, 300),
    how=st.sampled_from([PLAIN, QUICK]),
)
def test_an_object_is_what_json_reads_wherever_the_chunks_of_its_file_end(
    tmp_path_factory, tree, encoding, indent, ascii_only, chunk, how
):
    text = json.dumps(tree, indent=indent, ensure_ascii=ascii_only)
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_bytes(text.encode(encoding, "replace"))
    text = path.read_bytes().decode(encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK", chunk)
        got, texts = read(path, how)
    assert got == json.loads(text)
    if isinstance(got.get("long"), list):
        assert [json.loads(one) for one in texts] == got["long"]


@pytest.mark.parametrize("indent", [None, 1])
def test_objects_are_read_many_at_once_and_what_is_not_asked_for_becomes_no_object(tmp_path, indent):
    there = [{"a": number, "b": [{"c": 0.5}, "}]"] * (number % 100 == 99)} for number in range(1000)]
    (tmp_path / "a.json").write_text(json.dumps({"long": there, "other": [{"a": 1}]}, indent=indent))
    # A list of objects in an object may be taken for the end of the long one: then a chunk is read one by one.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "CHUNK", 1000)
        got, texts = read(tmp_path / "a.json", QUICK_A)
    assert [json.loads(text) for text in texts] == there and got["other"] == [{"a": 1}]
    assert [one["a"] for one in got["long"]] == list(range(1000))
    assert sum("b" not in one for one in got["long"]) > 500


@pytest.mark.parametrize("how", [PLAIN, QUICK_A])
@pytest.mark.parametrize("chunk", [1, 2, 5, 2**24])
@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1,\n "long": [1, 2}',
        '{"a": 1,\n "long": [1, 2],\n "b" 3}',
        '{"a": 1,\n\n "long": [1, tru]}',
        '{"a": 1,\n "long": [1 2]}',
        '{"a": 1\n "long": []}',
        '{"a": 1, "long": [{"b": 1}, {"b": "c',
        '{"a": 1, "long": [{"b": 1}, ',
        '{"a": 1, "long": []} x',
        '{"long": [{"a": 1},\n {"b": [1, , 2]}, {"a": 2}]}',
        '{"long": [{"a": 1}, {"a": 2, "b": "\n"}, {"a": 3}]}',
        '{"long": [{"a": 1}, {"b": "}]"}, {"a": 3,}]}',
        "",
    ],
)
def test_broken_json_is_refused_with_the_line_and_column_that_json_names(tmp_path, monkeypatch, text, chunk, how):
    (tmp_path / "a.json").write_text(text)
    monkeypatch.setattr(json_stream, "CHUNK", chunk)
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(text)
    place = f"a.json, line {expected.value.lineno}, column {expected.value.colno}: broken JSON"
    with pytest.raises(Refused, match=place):
        read(tmp_path / "a.json", how)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[1, 2]", "it holds a list, not an object"),
        (b'{"long": [1' + b"0" * 5000 + b"]}", "digits"),
        (b'{"long": [{"a": 1, "b": 1' + b"0" * 5000 + b"}]}", "digits"),
        (b'{"long": [{"a": 1, "b": ' + b"[" * 10**5 + b"]" * 10**5 + b"}]}", "nested too deep"),
        (b'{"long": [' + b"[" * 10**5, "nested too deep"),
        (b'{"a": "\xff"}', "cannot be read"),
    ],
)
def test_what_is_no_object_is_refused(tmp_path, content, words):
    (tmp_path / "a.json").write_bytes(content)
    for how in (PLAIN, QUICK_A):
        with pytest.raises(Refused, match=words):
            read(tmp_path / "a.json", how)
    with pytest.raises(Refused, match="is not a file; give a JSON file"):
        read(tmp_path)
