"""`facewarden verify`: codes, reports and refusals, with the real detectors on a portrait."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pipeline.commands.app import app
from pipeline.judging.report import JudgingReport
from tests.clips import portrait
from tests.model_files import model_file
from tests.pipeline.judging.scenes import write_video

FRAMES = 6
KEY = b"a key of sixteen bytes, or some more"


def verify(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`original.mp4`, `covered.mp4`, and `leaking.mp4`, which shows one frame."""
    for name in ("yunet", "blazeface"):
        model_file(name)
    folder = tmp_path_factory.mktemp("verify")
    face = cv2.resize(portrait(), (200, 200), interpolation=cv2.INTER_AREA)
    original, covered = [], []
    for number in range(FRAMES):
        picture = np.full((240, 320, 3), 120, np.uint8)
        picture[:12, 20 * number : 20 * number + 30] = 220
        picture[30:230, 60:260] = face
        original.append(picture)
        hidden = picture.copy()
        hidden[30:230, 60:260] = 60
        covered.append(hidden)
    write_video(folder / "original.mp4", original)
    write_video(folder / "covered.mp4", covered)
    write_video(folder / "leaking.mp4", [*covered[:3], original[3], *covered[4:]])
    (folder / "key").write_bytes(KEY)
    return folder


def test_a_covered_video_passes(folder: Path, tmp_path: Path) -> None:
    done = verify(folder / "original.mp4", folder / "covered.mp4", "--json", tmp_path / "report.json")

    report = JudgingReport.model_validate_json((tmp_path / "report.json").read_bytes())
    assert done.exit_code == 0, done.output
    assert "all of 1 faces are covered" in done.output
    assert (report.outcome, report.signature, report.face_frames) == ("covered", "", FRAMES)
    assert set(report.models) == {"yunet", "blazeface"}


def test_a_leak_of_one_frame_is_told_in_all_ways(folder: Path, tmp_path: Path) -> None:
    done = verify(
        folder / "original.mp4", folder / "leaking.mp4", "--json", tmp_path / "r.json", "--html", tmp_path / "r.html",
        "--sign", folder / "key",
    )  # fmt: skip

    report = json.loads((tmp_path / "r.json").read_text())
    assert done.exit_code == 1, done.output
    assert "in clear" in done.output
    assert [(span["from_frame"], span["to_frame"]) for span in report["tracks"][0]["spans"]] == [(3, 3)]
    assert "Do not give this video out" in (tmp_path / "r.html").read_text()
    assert verify(tmp_path / "r.json", "--check", "--sign", folder / "key").exit_code == 0

    (tmp_path / "r.json").write_text(json.dumps(report | {"outcome": "covered"}))
    assert verify(tmp_path / "r.json", "--check", "--sign", folder / "key").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["original.mp4"], "MASKED: expected"),
        (["original.mp4", "none.mp4"], "expected a video file, there is none"),
        (["none.mp4", "covered.mp4"], "expected a video file, there is none"),
        (["original.mp4", "key"], "key"),
        (["original.mp4", "covered.mp4", "--json", "key"], "is there already"),
        (["original.mp4", "covered.mp4", "--json", "covered.mp4", "--overwrite"], "is what is judged"),
        (["original.mp4", "covered.mp4", "--json", "no/r.json"], "no such folder"),
        (["original.mp4", "covered.mp4", "--json", "r", "--html", "r"], "expected two files"),
        (["original.mp4", "covered.mp4", "--sign", "key"], "name it by --json"),
        (["original.mp4", "covered.mp4", "--sign", "none", "--json", "r"], "cannot be read"),
        (["original.mp4", "--check"], "expected the key"),
        (["original.mp4", "--check", "--sign", "key"], "expected a report"),
        (["none.json", "--check", "--sign", "key"], "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}

    done = verify(*arguments)

    assert done.exit_code == 2
    assert words in " ".join(done.output.split())
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("names", [("none.mp4", "a.mp4"), ("a.mp4", "none.mp4")])
def test_a_missing_file_is_said_before_networks_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str]
) -> None:
    """Nor need they have been fetched."""
    (tmp_path / "a.mp4").touch()
    monkeypatch.setenv("FACEWARDEN_CACHE", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)

    done = verify(*names)

    assert (done.exit_code, "none.mp4: expected a video file" in done.output) == (2, True)


def test_reports_are_replaced_only_if_asked(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("mine")

    done = verify(folder / "original.mp4", folder / "covered.mp4", "--json", target, "--overwrite")

    assert done.exit_code == 0
    assert json.loads(target.read_text())["outcome"] == "covered"
