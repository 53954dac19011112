"""A report is as it was signed, or the check says no; keys are read with care."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.judging.report import FramePairs, JudgedFile, JudgingReport
from pipeline.judging.signature import is_signed_by, read_key, signed

KEY = b"sixteen bytes or more"


def report(**changes: object) -> JudgingReport:
    file = JudgedFile(name="a.mp4", sha256="0" * 64, bytes=1, width=2, height=2, frames=1, lost=0, reason="")
    pairs = FramePairs(shown=1, withheld=0, repeated=0, alike=1.0)
    fields = {
        "format": 1, "facewarden": "0", "commit": "unknown", "command": "facewarden verify", "made": "2026",
        "models": {}, "original": file, "masked": file, "pairs": pairs, "outcome": "covered", "words": "é",
        "face_frames": 3, "clear": 0, "reversible": 0, "tracks": (),
    }  # fmt: skip
    return JudgingReport.model_validate({**fields, **changes})


def test_who_has_the_key_can_tell() -> None:
    made = signed(report(), KEY)

    assert len(made.signature) == 64
    assert is_signed_by(made, KEY) and not is_signed_by(made, KEY + b"x")
    assert not is_signed_by(report(), KEY)


def test_the_signature_outlives_the_file() -> None:
    made = signed(report(), KEY)

    assert is_signed_by(JudgingReport.model_validate_json(made.to_json()), KEY)


@pytest.mark.parametrize("change", [{"outcome": "leaks"}, {"clear": 1}, {"words": "e"}, {"made": "2027"}])
def test_no_field_can_be_changed(change: dict[str, object]) -> None:
    made = signed(report(), KEY)

    assert not is_signed_by(made.model_copy(update=change), KEY)


def test_signing_again_gives_the_same() -> None:
    assert signed(signed(report(), KEY), KEY) == signed(report(), KEY)


def test_a_key_is_a_secret_file(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"secret")
    (tmp_path / "key").write_bytes(KEY)

    assert read_key(tmp_path / "key") == KEY
    with pytest.raises(ConfigError, match="at least 16 bytes, got 6"):
        read_key(tmp_path / "short")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_key(tmp_path / "none")
