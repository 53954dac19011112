"""Where results go: each has a name of its own, and none overwrites a source."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.live.outputs import (
    UnfinishedRun,
    add_reports,
    is_single,
    output_folder,
    plan,
    require_reports,
    seal_file_of,
    store_whole,
    unwritable,
)


@pytest.mark.parametrize(
    ("source", "output", "written"),
    [
        ("in/a.mp4", "out", "out/a_anonymized.mp4"),
        ("in/a.mp4", None, "in/a_anonymized.mp4"),
        ("in/a.MKV", "out", "out/a_anonymized.mkv"),
        ("in/a.mov", "out", "out/a_anonymized.mov"),
        ("in/a.webm", "out", "out/a_anonymized.mp4"),
        ("in/a", "out", "out/a_anonymized.mp4"),
        ("in/a.mp4", "out/b.mkv", "out/b.mkv"),
        ("in/a.mp4", "rtsp://me:secret@server/out", "rtsp://me:secret@server/out"),
        ("rtsp://me:secret@cam:554/door/1", "out", "out/cam_554_door_1_anonymized.mp4"),
        ("rtsp://cam/live?password=secret", "out", "out/cam_live_anonymized.mp4"),
        ("/dev/video0", "out", "out/_dev_video0_anonymized.mp4"),
        ("/dev/video0", "cam.mp4", "cam.mp4"),
    ],
)
def test_where_a_source_is_written(source: str, output: str | None, written: str) -> None:
    (job,) = plan([source], output, "run")

    assert job.output == written


@pytest.mark.parametrize(
    ("source", "stream", "live", "shown"),
    [
        ("in/my film.mp4", "r1.0000.my_film", False, "my film.mp4"),
        ("in/größe.mp4", "r1.0000.gr_e", False, "größe.mp4"),
        (f"in/{'x' * 60}.mp4", f"r1.0000.{'x' * 40}", False, f"{'x' * 60}.mp4"),
        ("rtsp://me:secret@cam/door.1", "r1.0000.cam_door_1", True, "rtsp://cam/door.1"),
        ("/dev/video2", "r1.0000._dev_video2", True, "/dev/video2"),
    ],
    ids=["a blank", "an umlaut", "long", "a camera", "a device"],
)
def test_a_stream_has_a_name_that_every_broker_takes(source: str, stream: str, live: bool, shown: str) -> None:
    (job,) = plan([source], "out", "r1")

    assert (job.source.stream, job.source.live, job.source.shown, job.source.url) == (stream, live, shown, source)


def test_a_camera_without_an_output_is_written_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    (job,) = plan(["rtsp://cam/door"], None, "run")

    assert job.output == str(tmp_path / "cam_door_anonymized.mp4")


def test_outputs_of_equal_names_do_not_meet() -> None:
    jobs = plan(["a/x.mp4", "b/x.mp4", "c/x_2.mp4", "d/x.webm"], "out", "run")

    outputs = [job.output for job in jobs]
    assert outputs[:2] == ["out/x_anonymized.mp4", "out/x_2_anonymized.mp4"]
    assert len(set(outputs)) == len({job.source.stream for job in jobs}) == 4


def test_no_source_is_overwritten(tmp_path: Path) -> None:
    for name in ("x.mp4", "x_anonymized.mp4"):
        (tmp_path / name).touch()

    with pytest.raises(ConfigError, match="would overwrite a source"):
        plan([str(tmp_path / "x.mp4"), str(tmp_path / "x_anonymized.mp4")], None, "run")
    with pytest.raises(ConfigError, match="would overwrite a source"):
        plan([str(tmp_path / "x.mp4")], f"{tmp_path}/in/../x.mp4", "run")


@pytest.mark.parametrize("name", ["x.avi", "x.gif", "x.ts", "x.mpg", "x.flv", "x.webm", "x.WMV", "x.jpg", "x.mp3"])
def test_what_is_not_written_is_refused_by_a_sentence_that_names_what_is(name: str) -> None:
    with pytest.raises(ConfigError, match=r"is not written as \.\w+; name a file that ends with \.mp4, .* or \.mkv"):
        plan(["in/a.mp4"], f"out/{name}", "run")


def test_a_folder_may_be_called_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "clips.avi").mkdir()

    (job,) = plan(["in/a.mp4"], str(tmp_path / "clips.avi"), "run")

    assert job.output == str(tmp_path / "clips.avi/a_anonymized.mp4")


def test_long_and_odd_names_make_names_that_fit() -> None:
    odd = os.fsdecode(b"caf\xe9")
    long, strange = plan([f"in/{'ü' * 121}.mp4", f"in/{odd}.mkv"], "out", "run")

    assert len(os.fsencode(Path(long.output).name)) <= 255 - 32
    assert strange.output == f"out/{odd}_anonymized.mkv"
    assert strange.source.url == f"in/{odd}.mkv"
    assert strange.source.shown == "caf?.mkv"


def test_a_source_knows_what_its_result_is_written_as() -> None:
    jobs = plan(["a.mkv", "a.mov", "a.avi"], "out", "run")
    (pushed,) = plan(["a.mkv"], "rtsp://server/out", "run")

    assert [job.source.container for job in jobs] == ["matroska", "mov", "mp4"]
    assert pushed.source.container == "rtsp"


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert unwritable(tmp_path / "new" / "folder") == ""
    assert "cannot be written to" in unwritable(tmp_path / "file" / "folder")


def test_several_sources_do_not_share_an_output() -> None:
    with pytest.raises(ConfigError, match=r"^rtsp://server/out: one output for 2 sources; give a folder"):
        plan(["a.mp4", "b.mp4"], "rtsp://me:secret@server/out", "run")


@pytest.mark.parametrize(
    ("output", "single"),
    [
        ("out.mp4", True),
        ("out.MKV", True),
        ("rtsp://server/out", True),
        ("RTSPS://server/out", True),
        ("out", False),
        ("out.d", False),
        ("out.txt", False),
        (".", False),
    ],
)
def test_a_file_is_told_from_a_folder_by_its_name(output: str, single: bool) -> None:
    assert is_single(output) is single


@pytest.mark.parametrize(
    ("source", "output", "folder"),
    [
        ("in/a.mp4", None, "in"),
        ("in/a.mp4", "out", "out"),
        ("in/a.mp4", "out/b.mp4", "out"),
        ("in/a.mp4", "rtsp://server/out", "in"),
        ("rtsp://cam/door", None, ""),
        ("rtsp://cam/door", "rtsp://server/out", ""),
        ("/dev/video0", "out/b.mp4", "out"),
    ],
)
def test_the_folder_of_what_goes_with_the_videos(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str, output: str | None, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)

    assert tmp_path / output_folder([source, "elsewhere/b.mp4"], output) == tmp_path / folder


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "work"
    folder.mkdir()
    made = [folder / "b", folder / "a"]
    for part in made:
        part.write_text(f"{part.name}1\n{part.name}2\n")
    return made


WHOLE = "b1\nb2\na1\na2\n"


@pytest.mark.parametrize(
    ("former", "begins"),
    [(None, ""), ("former\n", "former\n"), ("cut off", "cut off\n"), ("", "")],
    ids=["no file", "of another run", "whose last line was cut off", "empty"],
)
def test_reports_are_added_in_their_order(tmp_path: Path, parts: list[Path], former: str | None, begins: str) -> None:
    whole = tmp_path / "new" / "verdicts.jsonl"
    if former is not None:
        whole.parent.mkdir()
        whole.write_text(former)

    for _ in range(2):  # a run that died after it had added them
        add_reports(parts, whole, tmp_path / "work" / "journal")

    assert whole.read_text() == begins + WHOLE


@pytest.mark.parametrize("written", range(len(WHOLE) + 1))
def test_reports_are_added_once_wherever_it_was_killed(tmp_path: Path, parts: list[Path], written: int) -> None:
    whole, journal = tmp_path / "verdicts.jsonl", tmp_path / "work" / "journal"
    whole.write_text("former\n" + WHOLE[:written])
    journal.write_text("7")

    add_reports(parts, whole, journal)

    assert whole.read_text() == "former\n" + WHOLE


def test_what_others_have_added_meanwhile_stays(tmp_path: Path, parts: list[Path]) -> None:
    whole, journal = tmp_path / "verdicts.jsonl", tmp_path / "work" / "journal"
    whole.write_text("b1\nb\nother\n")
    journal.write_text("0")

    add_reports(parts, whole, journal)

    assert whole.read_text().splitlines() == ["b1", "b", "other", "b2", "a1", "a2"]


@pytest.mark.parametrize("there", ["a link", "a folder"])
def test_reports_go_into_a_plain_file_only(tmp_path: Path, parts: list[Path], there: str) -> None:
    whole, other = tmp_path / "verdicts.jsonl", tmp_path / "other"
    other.write_text("somebody's")
    whole.mkdir() if there == "a folder" else whole.symlink_to(other)

    with pytest.raises(UnfinishedRun, match="cannot be added to it"):
        add_reports(parts, whole, tmp_path / "work" / "journal")

    assert other.read_text() == "somebody's"


def test_a_result_takes_a_free_name_and_a_named_one_is_refused(tmp_path: Path) -> None:
    for name in ("x_anonymized.mp4", "x_2_anonymized.mp4"):
        (tmp_path / name).symlink_to("nowhere")

    (free,) = plan(["in/x.mp4"], str(tmp_path), "run")
    (replaced,) = plan(["in/x.mp4"], str(tmp_path), "run", overwrite=True)
    (own,) = plan(["in/x.mp4"], str(tmp_path), "run", own={free.source.stream: f"{tmp_path}/x_anonymized.mp4"})
    (camera,) = plan(["rtsp://cam/x"], f"{tmp_path}/x_anonymized.mp4", "run")

    assert Path(free.output).name == "x_3_anonymized.mp4"
    assert Path(replaced.output).name == Path(own.output).name == Path(camera.output).name == "x_anonymized.mp4"
    assert (free.is_result, camera.is_result) == (True, False)
    with pytest.raises(ConfigError, match="is there already; choose another output, or give --overwrite"):
        plan(["in/x.mp4"], f"{tmp_path}/x_anonymized.mp4", "run")


def test_where_seals_come_to_lie_no_other_file_may(tmp_path: Path) -> None:
    video = tmp_path / "x_anonymized.mp4"
    seal_file_of(video).write_bytes(b"of another video")

    plan(["in/x.mp4"], str(video), "run")
    plan(["in/x.mp4"], str(video), "run", sealed=True, overwrite=True)
    plan(["in/x.mp4"], str(video), "run", sealed=True, own={"run.0000.x": str(video)})
    with pytest.raises(ConfigError, match=r"x_anonymized\.mp4\.seal: is there already; choose another output"):
        plan(["in/x.mp4"], str(video), "run", sealed=True)


def test_small_files_of_a_run_are_whole(tmp_path: Path) -> None:
    store_whole(tmp_path / "plan.json", "{}")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"plan.json": "{}"}


def test_two_channels_of_one_recorder_stay_apart() -> None:
    urls = [f"rtsp://me:secret@dvr/cam/realmonitor?channel={n}&subtype=0" for n in (1, 2)]

    first, second = plan(urls, "out", "run")

    assert [first.source.shown, second.source.shown] == [
        "rtsp://dvr/cam/realmonitor?channel=1&subtype=0", "rtsp://dvr/cam/realmonitor?channel=2&subtype=0"
    ]  # fmt: skip
    assert first.output != second.output and "channel_1" in first.output


def test_what_differs_in_a_secret_alone_is_numbered() -> None:
    jobs = plan(["rtsp://cam/token/one", "rtsp://cam/token/two"], "out", "run")

    assert [job.source.shown for job in jobs] == ["rtsp://cam/token/…", "rtsp://cam/token/… (2)"]
    assert len({job.output for job in jobs}) == 2


@pytest.mark.parametrize(
    ("output", "written"),
    [
        ("rtsp://server/{name}", ["rtsp://server/cam_door", "rtsp://server/cam_door_2", "rtsp://server/cam_yard"]),
        ("out/{name}.mkv", ["out/cam_door.mkv", "out/cam_door_2.mkv", "out/cam_yard.mkv"]),
        ("out/{name}/live.mp4", ["out/cam_door/live.mp4", "out/cam_door_2/live.mp4", "out/cam_yard/live.mp4"]),
    ],
)
def test_one_pattern_names_the_outputs_of_several_sources(output: str, written: list[str]) -> None:
    jobs = plan(["rtsp://cam/door", "rtsp://u:p@cam/door", "rtsp://cam/yard"], output, "run")

    assert [job.output for job in jobs] == written


def test_a_folder_for_each_source_is_no_place_for_the_run() -> None:
    assert output_folder(["rtsp://cam/door"], "out/{name}/live.mp4") == Path("out")
    assert output_folder(["rtsp://cam/door"], "out/{name}") == Path("out")
    with pytest.raises(ConfigError, match=r"give a folder, or \{name\} within the name"):
        plan(["rtsp://cam/door", "rtsp://cam/yard"], "rtsp://server/x", "run")


def test_reports_go_to_no_video(tmp_path: Path) -> None:
    """They are added at the end of what is there: that must neither be a source nor become a result."""
    for name, content in {"a.mp4": b"video", "b.mp4": b"\0\0\0 ftyp", "old.jsonl": b"{}\n", "new.jsonl": b""}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "hard.jsonl").hardlink_to(tmp_path / "a.mp4")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "a.mp4")
    sources = [str(tmp_path / "a.mp4"), "rtsp://cam/live"]
    jobs = plan(sources[:1], str(tmp_path / "out.mp4"), "run")

    for name, words in {
        "a.mp4": "is a source or a result",
        "hard.jsonl": "is a source or a result",
        "out.mp4": "is a source or a result",
        "link.jsonl": "found a link",
        "b.mp4": "expected a file of reports",
    }.items():
        with pytest.raises(ConfigError, match=words):
            require_reports(tmp_path / name, sources, jobs)
    for name in ("old.jsonl", "new.jsonl", "none.jsonl"):
        require_reports(tmp_path / name, sources, jobs)
