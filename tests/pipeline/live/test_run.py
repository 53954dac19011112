"""Whole runs through Ray, by the command line: what goes in comes out, frame for frame, at its time."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import pytest
import yaml
from ray.exceptions import ActorDiedError, RayError, RayTaskError

from engines import ConfigError, EngineError, FacewardenError, StreamError
from pipeline.brokers import BrokerRefused
from pipeline.config import Config, Step
from pipeline.live.outputs import PlannedStream, UnfinishedRun
from pipeline.live.run import FILES_RETENTION_MS, Run, StreamOutcome, broker_for, failure_of
from pipeline.live.sources import VideoSource
from pipeline.live.verdict_lines import read_line
from pipeline.live.work_folder import WorkFolder
from pipeline.media.shown import of_head
from pipeline.wire import Ledger
from tests.clips import MAKERS, Clip, Clips, read_index, shown
from tests.hostile import MAKERS as HOSTILE
from tests.hostile import HostileFiles
from tests.pipeline.media.passing import demux

JUMPING = {"clock_jump_ahead", "clock_jump_back", "clock_jump_with_sound"}
UNTIMED = {"raw_h264", "size_change_raw", "avi_b_frames", "mjpeg_avi", "odd_size"}
RESIZED = {"size_change_ts", "size_change_raw"}
ZONE = [0.1, 0.9, 0.3, 1.0]
"""Below the bar code, so that frames can be told apart under their covers."""


def facewarden(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=580, check=False)


def config(folder: Path) -> Path:
    """Covers a fixed place: the path without the cost of a network."""
    steps = [
        {"use": "detect.zones", "options": {"boxes": [ZONE]}},
        {"use": "track"},
        {"use": "deidentify.cover", "options": {"style": "solid", "shape": "box"}},
    ]
    path = folder / "zones.yaml"
    path.write_text(yaml.safe_dump({"steps": steps}))
    return path


def seconds(item: Any) -> Fraction:
    """When a frame or packet is shown."""
    return Fraction(item.pts * item.time_base)


def decoded(*paths: Path) -> list[tuple[Fraction, int | None, int, int, int]]:
    """Time, bar code, width, height and rotation of each frame that a plain decode shows."""
    frames = []
    for path in paths:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                number = read_index(frame.to_ndarray(format="bgr24"))
                time = seconds(frame) if frame.pts is not None else Fraction(-1)
                frames.append((time, number, frame.width, frame.height, frame.rotation))
    return frames


def outputs(folder: Path, stem: str) -> list[Path]:
    return sorted(folder.glob(f"{stem}_anonymized*"), key=lambda path: (len(path.name), path.name))


@pytest.fixture(scope="module")
def masked(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Clip], Path]:
    """All made clips after one run, with the folder that holds what came out."""
    folder = tmp_path_factory.mktemp("run")
    made = {}
    for name in MAKERS:
        clip = clips(name)
        source = folder / "in" / f"{name}{clip.path.suffix}"
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(clip.path.read_bytes())
        made[name] = Clip(source, clip.numbers)
    done = facewarden("run", folder / "in", "-o", folder / "out", "--config", config(folder))
    assert done.returncode in (0, 1), done.stderr[-2000:]
    assert not (folder / "out" / ".facewarden").exists()
    return made, folder / "out"


@pytest.mark.parametrize("name", MAKERS)
def test_shown_frames_and_their_times_are_those_of_a_plain_decode(
    masked: tuple[dict[str, Clip], Path], name: str
) -> None:
    clip, folder = masked[0][name], masked[1]

    before, after = decoded(clip.path), decoded(*outputs(folder, name))

    assert [frame[1] for frame in after] == list(clip.numbers)
    assert [frame[2:] for frame in after] == [frame[2:] for frame in before]
    if name in RESIZED:
        assert len(outputs(folder, name)) == 2
    elif name in JUMPING | UNTIMED:
        steps = {later[0] - earlier[0] for earlier, later in pairwise(after)}
        assert steps == {Fraction(1, 25)}
    else:
        assert [frame[0] for frame in after] == [frame[0] for frame in before]


def test_every_ledger_balances_and_every_frame_is_reported(masked: tuple[dict[str, Clip], Path]) -> None:
    made, folder = masked
    lines = [read_line(line).model_dump() for line in (folder / "verdicts.jsonl").read_text().splitlines()]

    ends = {line["stream"]: line for line in lines if line["type"] == "end"}

    assert len(ends) == len(made)
    for name, clip in made.items():
        end = ends[clip.path.name]
        assert end["packets"] == end["shown"] + end["discarded"] + sum(end["withheld"].values()), name
        assert end["shown"] == len(clip.numbers) == sum(
            line["type"] == "frame" and line["stream"] == clip.path.name for line in lines
        )  # fmt: skip
    assert {clip.path.name for name, clip in made.items() if ends[clip.path.name]["withheld"]} == {
        made["no_keyframe_start"].path.name
    }


@pytest.mark.parametrize("name", ["rotated", "mirrored", "fields", "h264_plain"])
def test_a_result_is_shown_as_its_source(masked: tuple[dict[str, Clip], Path], name: str) -> None:
    clip, folder = masked[0][name], masked[1]

    (result,) = outputs(folder, name)

    assert of_head(demux(result)[0]) == of_head(demux(clip.path)[0])


def test_what_alpha_hid_stays_hidden(masked: tuple[dict[str, Clip], Path]) -> None:
    """Outside of the covered zone too."""
    (result,) = outputs(masked[1], "hidden_by_alpha")
    with av.open(str(result)) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]

    assert len(pictures) == 24
    assert max(int(picture[76:, 100:].max()) for picture in pictures) < 24


@pytest.mark.parametrize("name", ["mov_g711", "mov_pcm", "mp4_aac", "long_audio"])
def test_audio_is_copied_bit_for_bit(masked: tuple[dict[str, Clip], Path], name: str) -> None:
    clip, folder = masked[0][name], masked[1]

    def audio(path: Path) -> list[tuple[Fraction, bytes]]:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            return [(seconds(p), bytes(p)) for p in container.demux(stream) if p.size]

    assert audio(outputs(folder, name)[0]) == audio(clip.path)


def test_sound_that_comes_before_its_jumped_clock_keeps_growing(masked: tuple[dict[str, Clip], Path]) -> None:
    with av.open(str(outputs(masked[1], "clock_jump_with_sound")[0])) as container:
        times = [seconds(p) for p in container.demux(audio=0) if p.size]

    assert len(times) > 60
    assert times == sorted(times)


@pytest.mark.timeout(600)
def test_real_recordings_keep_their_frames_times_and_sound(data_dir: Path, tmp_path: Path) -> None:
    sources = sorted(path for path in (data_dir / "videos").iterdir() if path.is_file())
    assert len(sources) > 10

    done = facewarden("run", data_dir / "videos", "-o", tmp_path / "out", "--config", config(tmp_path))

    assert done.returncode == 0, done.stderr
    for source in sources:
        (result,) = outputs(tmp_path / "out", source.stem)
        with av.open(str(source)) as before, av.open(str(result)) as after:
            assert [(seconds(f), f.width, f.height, f.rotation) for f in after.decode(video=0)] == [
                (seconds(f), f.width, f.height, f.rotation) for f in before.decode(video=0)
            ], source.name
        with av.open(str(source)) as before, av.open(str(result)) as after:
            sound = [[bytes(p) for p in c.demux(audio=0) if p.size] for c in (before, after) if c.streams.audio]
            assert not sound or sound[0] == sound[1], source.name


def test_hostile_files_cost_themselves_only(hostile: HostileFiles, clips: Clips, tmp_path: Path) -> None:
    sources = [hostile(name) for name in HOSTILE]
    good = tmp_path / "good.mp4"
    good.write_bytes(clips("h264_plain").path.read_bytes())

    done = facewarden("run", *sources, good, "-o", tmp_path / "out", "--config", config(tmp_path))

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [frame[1] for frame in decoded(*outputs(tmp_path / "out", "good"))] == list(clips("h264_plain").numbers)
    assert not list((tmp_path / "out").glob(".*"))


ODD_NAMES = (
    "[bold]x[red].mp4",
    "[link=x].mp4",
    "12:30:00.mp4",
    "caf\udce9.mp4",  # a byte that is no text
    "a\x1b[2Jb.mp4",
    "two\nlines.mp4",
    f"{'n' * 242}.mp4",
    "-o.mp4",
)


def test_names_of_all_kinds_are_masked_and_shown_as_they_are(clips: Clips, tmp_path: Path) -> None:
    """Two files of one name are told apart, and what is no video is named."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    content = clips("h264_plain").path.read_bytes()
    for name in ODD_NAMES:
        (tmp_path / "a" / name).write_bytes(content)
    (tmp_path / "b" / "12:30:00.mp4").write_bytes(content)
    (tmp_path / "b" / "notes.txt").write_text("no video")
    os.mkfifo(tmp_path / "b" / "pipe")

    done = facewarden("run", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "o[/x]", "--config", config(tmp_path))

    assert done.returncode == 0, done.stderr
    results = [path for path in (tmp_path / "o[/x]").iterdir() if path.suffix == ".mp4"]
    assert len(results) == len(ODD_NAMES) + 1
    assert all(shown(path) == list(clips("h264_plain").numbers) for path in results)
    for said in ("[bold]x[red].mp4", "[link=x].mp4", "caf?.mp4", "a?[2Jb.mp4", "two?lines.mp4", "o[/x]"):
        assert said in done.stdout.replace("caf\ufffd", "caf?"), said
    assert {"notes.txt", "pipe"} <= set(re.findall(r"notes\.txt|pipe", done.stderr))
    assert "\x1b" not in done.stdout + done.stderr and "Traceback" not in done.stderr
    streams = {read_line(line).stream for line in (tmp_path / "o[/x]" / "verdicts.jsonl").read_text().splitlines()}
    assert len(streams) == len(results)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing.mp4"], "no such file"),
        (["--config", "nothing.yaml", __file__], "cannot be read"),
        (["http://example.org/a.mp4"], "expected a file"),
        ([], "no source"),
        (["--encode", "crf", __file__], "KEY=VALUE"),
        (["--encode", "preset=nonsense", __file__], "preset"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_starts(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = facewarden("run", *arguments, "-o", tmp_path / "out")

    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_folder_that_cannot_be_written_to_costs_its_own_files_alone(clips: Clips, tmp_path: Path) -> None:
    """Results lie beside their sources."""
    content = clips("h264_plain").path.read_bytes()
    for folder in ("good", "shut"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "clip.mp4").write_bytes(content)
    mount = ["mount", "--bind", *[str(tmp_path / "shut")] * 2]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", tmp_path / "shut"], check=True)
        done = facewarden("run", *sorted(tmp_path.glob("*/clip.mp4")), "--config", config(tmp_path))
    finally:
        subprocess.run(["umount", "-l", tmp_path / "shut"], check=True)

    assert done.returncode == 1
    assert "shut: cannot be written to" in done.stderr and "Traceback" not in done.stderr
    assert shown(tmp_path / "good" / "clip_anonymized.mp4") == list(clips("h264_plain").numbers)
    assert [path.name for path in (tmp_path / "shut").iterdir()] == ["clip.mp4"]


def test_a_push_that_nobody_takes_is_no_success(clips: Clips, tmp_path: Path) -> None:
    done = facewarden(
        "run", clips("h264_plain").path, "-o", "rtsp://127.0.0.1:9/nobody?token=s3cret", "--config", config(tmp_path),
        "--verdicts", tmp_path / "verdicts.jsonl",
    )  # fmt: skip

    assert done.returncode == 1
    assert ": not pushed: " in done.stderr and "shown frames are missing in the push" in done.stderr
    assert "s3cret" not in done.stderr + done.stdout + (tmp_path / "verdicts.jsonl").read_text()


HUGE = (8192, 4320)
HUGE_MB = 1500
"""Of a worker's own memory; its pictures take 53 MB each, of which it once held all that it waits with."""


def test_huge_pictures_are_held_by_bytes_and_not_by_number(tmp_path: Path) -> None:
    source, out, most = tmp_path / "huge.mp4", tmp_path / "out", 0
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height = HUGE
        frame = av.VideoFrame(*HUGE, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([128]) * plane.buffer_size)
        for number in range(12):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    command = ["run", source, "-o", out, "--config", config(tmp_path)]
    run = subprocess.Popen([sys.executable, "-m", "pipeline", *map(str, command)], stdout=subprocess.DEVNULL)
    while run.poll() is None:
        for process in psutil.Process(run.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if " ".join(process.cmdline()).startswith("ray::Worker"):
                    most = max(most, process.memory_full_info().uss >> 20)
        time.sleep(0.1)

    assert run.returncode == 0
    assert len(decoded(*out.glob("*.mp4"))) == 12
    assert 100 < most < HUGE_MB


# -- before it is driven -------------------------------------------------------------------------------


def planned(folder: Path, *, steps: list[Step] | None = None, **options: Any) -> Run:
    clip = folder / "clip.mp4"
    clip.touch()
    zones = [Step(use="detect.zones", options={"boxes": [ZONE]}), Step(use="deidentify.cover")]
    return Run([str(clip)], None, Config(steps=zones if steps is None else steps), **options)


def test_results_are_planned_next_to_the_source(tmp_path: Path) -> None:
    run = planned(tmp_path)

    assert [job.output for job in run.jobs] == [str(tmp_path / "clip_anonymized.mp4")]
    assert run.jobs[0].source.stream.startswith(run.folder.run_id)
    assert run.verdicts == tmp_path / "verdicts.jsonl"
    assert run.folder.path.parent == tmp_path / ".facewarden"
    run.folder.remove()


def test_nothing_is_named_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Actors stand in another one, perhaps on another machine."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/clip.mp4").touch()
    cv2.imwrite("cover.png", np.zeros((4, 4, 3), np.uint8))
    steps = [
        Step(use="detect.zones", options={"boxes": [ZONE]}),
        Step(use="deidentify.cover", options={"style": "image", "image": "cover.png"}),
    ]

    run = Run(["in/clip.mp4"], "out/", Config(steps=steps))

    (job,) = run.jobs
    assert (job.source.url, job.output) == (f"{tmp_path}/in/clip.mp4", f"{tmp_path}/out/clip_anonymized.mp4")
    assert run.config.steps[1].options["image"] == f"{tmp_path}/cover.png"
    assert run.verdicts == tmp_path / "out" / "verdicts.jsonl"


def test_reports_go_where_they_are_wanted(tmp_path: Path) -> None:
    run = planned(tmp_path, verdicts=str(tmp_path / "else" / "reports.jsonl"))

    assert run.verdicts == tmp_path / "else" / "reports.jsonl"
    run.folder.remove()


@pytest.mark.parametrize(
    ("url", "options", "live", "alone", "kept"),
    [
        ("kafka://h:1", {}, False, True, FILES_RETENTION_MS),
        ("kafka://h:1", {}, True, True, None),
        ("kafka://h:1?masked_retention_ms=5", {}, False, True, None),
        ("kafka://h:1", {"masked_retention_ms": "5", "topic_prefix": "mine."}, False, False, "5"),
        ("sqlite:///srv/x.db", {}, False, False, None),
    ],
    ids=["files", "a camera", "asked for in the URL", "asked for as an option", "a file"],
)
def test_what_is_masked_of_files_is_kept_for_long(
    tmp_path: Path, url: str, options: dict[str, str], live: bool, alone: bool, kept: str | None
) -> None:
    folder = WorkFolder(tmp_path, ["a.mp4"], None, Config(steps=[]))

    found = broker_for(folder, url, options, live=live)

    assert (found[0], found[1].get("masked_retention_ms"), found[2]) == (url, kept, alone)
    assert options.items() <= found[1].items()


@pytest.mark.parametrize(
    ("steps", "output"), [([], None), (None, "clip.mp4")], ids=["a config that hides nothing", "over its source"]
)
def test_what_cannot_be_run_leaves_nothing_behind(tmp_path: Path, steps: list[Step] | None, output: str | None) -> None:
    (tmp_path / "clip.mp4").touch()
    zones = [Step(use="detect.zones", options={"boxes": [ZONE]})]
    target = None if output is None else str(tmp_path / output)

    with pytest.raises(ConfigError):
        Run([str(tmp_path / "clip.mp4")], target, Config(steps=zones if steps is None else steps))

    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(
    ("ledger", "balanced"),
    [
        (Ledger(), True),
        (Ledger(packets=9, shown=4, discarded=2, withheld={"late": 1, "undecodable": 2}), True),
        (Ledger(packets=9, shown=4, discarded=2, withheld={"late": 1}), False),
        (Ledger(packets=4, shown=5), False),
        (Ledger(packets=4, shown=4, covered_whole=2), True),
    ],
    ids=["nothing", "all accounted for", "some lost", "one doubled", "covered ones are shown too"],
)
def test_an_outcome_is_balanced_if_every_packet_is_accounted_for(ledger: Ledger, balanced: bool) -> None:
    job = PlannedStream(VideoSource("clip", "clip.mp4", False, "clip.mp4"), "out.mp4")

    assert StreamOutcome(job, ledger=ledger).balanced == balanced


def of_actor(cause: Exception) -> RayTaskError:
    return RayTaskError("work", str(cause), cause)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("error", "working", "fate"),
    [
        (BrokerRefused("no right"), False, BrokerRefused),
        (StreamError("away for an hour"), True, UnfinishedRun),
        (UnfinishedRun("nothing has moved"), True, UnfinishedRun),
        (of_actor(BrokerRefused("no right")), True, UnfinishedRun),
        (of_actor(EngineError("no such network")), False, EngineError),
        (of_actor(ZeroDivisionError("by zero")), True, UnfinishedRun),
        (ActorDiedError(), True, UnfinishedRun),
    ],
    ids=[
        "at the start",
        "on the way",
        "said already",
        "an actor's refusal",
        "an actor's start",
        "a mistake",
        "a death",
    ],
)
def test_what_fails_on_the_way_leaves_something_to_go_on_from(
    error: RayError | StreamError, working: bool, fate: type[FacewardenError]
) -> None:
    ended = failure_of(error, working=working)

    assert type(ended) is fate
    assert str(getattr(error, "cause", None) or error).splitlines()[0] in str(ended)
