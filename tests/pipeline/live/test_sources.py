"""What arguments name, in a stable order, and what is shown of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.live.sources import find_sources, shown_name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of files, and the working directory."""
    for name in ("b.mp4", "a.MP4", "sub/c.webm", "sub/deep/d.ts", "notes.txt", "b_anonymized.mp4", "empty/x.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "folder.mp4").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["."], ["a.MP4", "b.mp4", "sub/c.webm", "sub/deep/d.ts"]),
        (["sub", "b.mp4"], ["sub/c.webm", "sub/deep/d.ts", "b.mp4"]),
        (["notes.txt"], ["notes.txt"]),
        (["b_anonymized.mp4"], ["b_anonymized.mp4"]),
        (["*.mp4"], ["b.mp4", "b_anonymized.mp4"]),
        (["**/*.ts"], ["sub/deep/d.ts"]),
        (["sub/?.webm"], ["sub/c.webm"]),
        (["b.mp4", "*.mp4", "b.mp4"], ["b.mp4", "b_anonymized.mp4"]),
        (["rtsp://cam/1", "RTSPS://cam/2", "/dev/video0"], ["rtsp://cam/1", "RTSPS://cam/2", "/dev/video0"]),
        ([], []),
    ],
    ids=["a folder", "in the order given", "a file of any name", "a result that is named", "a glob", "a deep glob",
         "one letter", "each once", "cameras", "nothing"],
)  # fmt: skip
def test_what_arguments_name(arguments: list[str], found: list[str]) -> None:
    assert find_sources(arguments) == found


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("argument", "complaint"),
    [
        ("empty", r"empty: no video in this folder \(looked for \.264, .*\.webm\)"),
        ("folder.mp4", "no video in this folder"),
        ("none.mp4", r"none\.mp4: no such file, folder or match"),
        ("*.avi", r"\*\.avi: no such file, folder or match"),
        ("f*.mp4", "no such file, folder or match"),
        ("/dev/video", "no such file"),
        ("http://me:secret@host/a.mp4?key=1", r"^http://host/a\.mp4: expected a file, folder, glob, rtsp:// URL"),
    ],
    ids=["no video", "a folder that calls itself one", "missing", "no match", "matches a folder", "no device", "http"],
)
def test_what_names_nothing_is_refused(argument: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        find_sources(["b.mp4", argument])


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("clips/a.mp4", "clips/a.mp4"),
        ("clips/a@b?c.mp4", "clips/a@b?c.mp4"),
        ("rtsp://cam/door/1", "rtsp://cam/door/1"),
        ("rtsp://cam", "rtsp://cam"),
        ("rtsp://me:secret@cam:554/door", "rtsp://cam:554/door"),
        ("rtsp://admin:p@ss@cam/live", "rtsp://cam/live"),
        ("rtsp://admin:a/b@cam/live", "rtsp://cam/live"),
        ("rtsp://cam/user=admin&password=secret&channel=1", "rtsp://cam/"),
        ("rtsp://cam/live?password=secret", "rtsp://cam/live"),
        ("rtsp://cam/live;password=secret", "rtsp://cam/live"),
        ("RTSP://me:secret@cam/live", "RTSP://cam/live"),
    ],
)
def test_no_password_is_shown(source: str, shown: str) -> None:
    assert shown_name(source) == shown
