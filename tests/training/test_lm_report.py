"""The record of validations is valid JSON, line by line, or is said to be damaged."""

from __future__ import annotations

import pytest

from musicgen_edu.training.lm_report import record, run_report


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_recorded(tmp_path, value):
    path = tmp_path / "validation.jsonl"
    record(path, {"step": 2, "loss": 5.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        record(path, {"step": 4, "loss": value})
    assert path.read_text() == '{"step": 2, "loss": 5.0}\n'


@pytest.mark.parametrize(
    "line", [b'{"step": 4, "loss": NaN}', b'{"step": 4, "lo', b"", b"[1]", b'{"loss": 2}', b'"step"', b"\xff", b"4"]
)
def test_a_damaged_record_is_named_before_the_run(tmp_path, line):
    path = tmp_path / "validation.jsonl"
    path.write_bytes(b'{"step": 2, "loss": 5.0}\n' + line + b"\n")
    with pytest.raises(ValueError, match=r"line 2 of .*validation\.jsonl is damaged: remove the line, or the file"):
        run_report(path, 10)
