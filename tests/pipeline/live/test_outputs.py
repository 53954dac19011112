"""Where results go: each has a name of its own, and none overwrites a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.live.outputs import is_single, merge_reports, output_folder, plan


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


def test_reports_are_joined_in_their_order(tmp_path: Path) -> None:
    parts = [tmp_path / name for name in ("b", "a")]
    for part in parts:
        part.write_text(f"{part.name}1\n{part.name}2\n")

    merge_reports(parts, tmp_path / "new" / "verdicts.jsonl")

    assert (tmp_path / "new" / "verdicts.jsonl").read_text() == "b1\nb2\na1\na2\n"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["verdicts.jsonl"]


def test_a_report_that_is_missing_leaves_the_former_whole(tmp_path: Path) -> None:
    whole = tmp_path / "verdicts.jsonl"
    whole.write_text("former\n")

    with pytest.raises(FileNotFoundError):
        merge_reports([tmp_path / "none"], whole)

    assert whole.read_text() == "former\n"


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


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "part").write_text("a report\n")
    victim = tmp_path / "victim"
    victim.write_text("whole")
    for name in ("verdicts.jsonl", ".verdicts.jsonl.part"):
        (tmp_path / name).symlink_to(victim)

    merge_reports([tmp_path / "part"], tmp_path / "verdicts.jsonl")

    assert victim.read_text() == "whole"
    assert not (tmp_path / "verdicts.jsonl").is_symlink() and (tmp_path / "verdicts.jsonl").read_text() == "a report\n"
