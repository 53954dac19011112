"""Names of outputs, and what is shown of sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.config import Config, Step
from pipeline.live.outputs import plan
from pipeline.live.sources import find_sources, shown_name
from pipeline.live.steps import check


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("clips/a.mp4", "clips/a.mp4"),
        ("rtsp://cam/door/1", "rtsp://cam/door/1"),
        ("rtsp://me:secret@cam:554/door", "rtsp://cam:554/door"),
        ("rtsp://admin:p@ss@cam/live", "rtsp://cam/live"),
        ("rtsp://admin:a/b@cam/live", "rtsp://cam/live"),
        ("rtsp://cam/user=admin&password=secret&channel=1", "rtsp://cam/"),
        ("rtsp://cam/live?password=secret", "rtsp://cam/live"),
        ("RTSP://me:secret@cam/live", "RTSP://cam/live"),
    ],
)
def test_no_password_is_shown(source: str, shown: str) -> None:
    assert shown_name(source) == shown


def test_outputs_of_equal_names_do_not_meet() -> None:
    jobs = plan(["a/x.mp4", "b/x.mp4", "c/x_2.mp4"], "out", "run")

    outputs = [job.output for job in jobs]
    assert outputs[:2] == ["out/x_anonymized.mp4", "out/x_2_anonymized.mp4"]
    assert len(set(outputs)) == len({job.source.stream for job in jobs}) == 3


def test_no_source_is_overwritten(tmp_path: Path) -> None:
    for name in ("x.mp4", "x_anonymized.mp4"):
        (tmp_path / name).touch()

    with pytest.raises(ConfigError, match="would overwrite a source"):
        plan([str(tmp_path / "x.mp4"), str(tmp_path / "x_anonymized.mp4")], None, "run")
    assert find_sources([str(tmp_path)]) == [str(tmp_path / "x.mp4")]


def test_a_config_that_finds_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a detect operator"):
        check(Config(steps=[Step(use="deidentify.cover")]))


def test_a_config_whose_network_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # the networks of a system are found from anywhere
    acmf = "operators/deepfake/acmf/small_detector.onnx"
    zones = Step(use="detect.zones", options={"boxes": []})

    check(Config(steps=[zones, Step(use="deepfake.acmf", engines={"detector": acmf})]))
    with pytest.raises(ConfigError, match=r"deepfake\.acmf: operators/none\.onnx: no such file"):
        check(Config(steps=[zones, Step(use="deepfake.acmf", engines={"detector": "operators/none.onnx"})]))
