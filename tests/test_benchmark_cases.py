"""What the benchmarks measure."""

import pytest

from benchmarks import server_requests, sides, soak
from benchmarks.cases import classifier


@pytest.mark.parametrize(("limit", "left_out"), [("", False), ("AVX2", True), ("avx512_core", False), ("ALL", False)])
def test_bfloat16_is_left_out_with_a_reason_where_onednn_may_not_use_avx_512(
    tmp_path, monkeypatch, capsys, limit, left_out
):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    monkeypatch.setattr(sides, "PEER_PYTHON", "")
    precisions = [case.facts["precision"] for case in classifier.cases(tmp_path, None)]
    assert precisions == ["float32", "bfloat16"][: 1 if left_out else 2]
    assert ("bfloat16 is left out: with ONEDNN_MAX_CPU_ISA=AVX2" in capsys.readouterr().out) == left_out


# What the soak of a TFLite file and of a Mask R-CNN had: after the warm-up, at the end; and what would be a leak there.
@pytest.mark.parametrize(
    ("warm", "last", "leaks"),
    [(107, 133, False), (107, 160, True), (1286, 1273, False), (1161, 1191, False), (1286, 1360, True)],
)
def test_a_server_has_grown_by_more_than_a_twentieth_and_more_than_a_body(warm, last, leaks):
    memory = (
        [500.0] * 10 + [warm + i for i in (-2, 0, 2, 90, 0)] * 2 + [warm] * 70 + [last, last - 1, last + 1, 0, 9999] * 2
    )
    assert soak.tenths(memory) == (warm, last)
    assert soak.grown(*soak.tenths(memory), 40_000_000 / 2**20) == leaks


def test_the_largest_body_of_a_soak_is_the_one_that_its_docstring_names():
    assert max(map(len, server_requests.bad_messages(b"x"))) == 40_000_000
