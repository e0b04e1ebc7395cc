"""What the benchmarks measure."""

import pytest

from benchmarks import sides
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
