"""What arguments name, in a stable order, and what is shown of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.live.outputs import PlannedStream, plan
from pipeline.live.sources import VideoSource, filled, find_files, find_sources, require_address, shown_name
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
        ("empty", r"empty: no video and no photo in this folder \(looked for \.264, .*\.wmv\)"),
        ("folder.mp4", "no video and no photo in this folder"),
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


def test_what_is_neither_video_nor_photo_is_named(tmp_path: Path) -> None:
    names = ("a.mp4", "b.JPG", "sub/c.png", "notes.txt", "d.heic", "d_anonymized.jpg", "verdicts.jsonl", ".hidden")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe.mp4")

    found = find_files([str(tmp_path), "rtsp://cam/a.jpg"])

    assert found.videos == (str(tmp_path / "a.mp4"), "rtsp://cam/a.jpg")
    assert found.photos == (str(tmp_path / "b.JPG"), str(tmp_path / "sub/c.png"))
    (line,) = found.left_alone
    assert line.endswith("no videos and no photos: d.heic, notes.txt, pipe.mp4")


def test_many_files_that_are_left_alone_are_counted(tmp_path: Path) -> None:
    for number in range(102):
        (tmp_path / f"{number:03}.txt").touch()
    (tmp_path / "a.mp4").touch()

    (line,) = find_files([str(tmp_path)]).left_alone

    assert line.endswith("099.txt and 2 more")


def test_photos_alone_are_no_videos(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()

    with pytest.raises(ConfigError, match=r"a\.jpg: expected a video, got a photo"):
        find_sources([str(tmp_path)])


def test_names_of_files_are_shown_without_what_a_terminal_would_obey() -> None:
    name = os.fsdecode(b"caf\xe9\x1b[2J\n[red].mp4")

    assert shown_name(f"clips/{name}") == "clips/caf??[2J?[red].mp4"


def test_numbered_results_are_no_sources_and_one_file_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "a_anonymized.mp4", "a_anonymized.2.mp4", "a_anonymized.2.3.mp4", "b.2.mp4"):
        Path(name).touch()
    Path("c.mp4").symlink_to("a.mp4")

    found = find_sources(["a.mp4", str(tmp_path / "a.mp4"), "./a.mp4", "."])

    assert found == ["a.mp4", "b.2.mp4"]


@pytest.mark.parametrize(
    "url",
    [
        *("rtsp://", "rtsp://:554", "rtsp://:554/live", "rtsps://me:secret@/live", "rtsp://cam:/live"),
        *(
            "rtsp://cam:port/live",
            "rtsp://cam:65536/live",
            "rtsp://cam:0",
            "rtsp://[::1/live",
            "RTSP://me:pa#ss@cam/live",
        ),
    ],
)
def test_what_names_no_host_or_no_port_is_refused_before_anything_starts(url: str) -> None:
    with pytest.raises(ConfigError, match="expected a host and a port"):
        plan([url], "out", "run")
    with pytest.raises(ConfigError, match="expected a host and a port"):
        plan(["a.mp4"], url, "run")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "rtsp://cam",
            "rtsp://cam:8554/live?x=1:2",
            "rtsp://me:se@cret:1@10.0.0.5:554/a:b",
            "rtsp://[fe80::1%eth0]:554/a",
        ),
        *("rtsps://under_scored.local/", "/dev/video0", "rtsp://server/{name}", "a:b.mp4"),
    ],
)
def test_what_names_a_host_is_tried(url: str) -> None:
    require_address(url)
