"""What arguments name, in a stable order, and what is shown of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.live.outputs import PlannedStream
from pipeline.live.sources import VideoSource, filled, find_sources
from pipeline.private.names import public_name


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


@pytest.mark.parametrize("argument", ["rtsp:/me:secret@cam/live", "me:secret@cam/live"])
def test_a_url_with_a_slip_of_the_pen_shows_no_password(argument: str) -> None:
    with pytest.raises(ConfigError, match=r"^rtsp://cam/live: expected"):
        find_sources([argument])


def test_a_password_comes_from_elsewhere_than_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR", "p@ss/w:rd")
    (tmp_path / "yard").write_text("s?cret\n")

    assert filled("rtsp://me:{env:DOOR}@cam/live") == "rtsp://me:p%40ss%2Fw%3Ard@cam/live"
    assert filled(f"rtsp://cam/live?password={{file:{tmp_path}/yard}}") == "rtsp://cam/live?password=s%3Fcret"
    assert public_name(filled("rtsp://me:{env:DOOR}@cam/live")) == public_name("rtsp://me:{env:DOOR}@cam/live")


@pytest.mark.parametrize(("place", "says"), [("{env:NOT_SET}", "NOT_SET to be set"), ("{file:/none}", "No such file")])
def test_a_password_that_is_nowhere_is_missed(place: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        filled(f"rtsp://me:{place}@cam/live")


def test_what_is_read_tells_no_password() -> None:
    source = VideoSource("stream", "rtsp://me:secret@cam/live", True, "rtsp://cam/live")

    assert "secret" not in repr(source) and "secret" not in repr(PlannedStream(source, "rtsp://me:secret@out"))
