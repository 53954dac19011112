"""Whole runs that seal: cameras through kills, several files at once; and the key, which is seen nowhere."""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT, SIGKILL

import psutil
import pytest
import yaml

from bench.sealed import check_sealed, frame_lines
from pipeline.config import SealSection
from pipeline.live.verdict_lines import read_line
from pipeline.sealing.keys import key_from_file
from tests.clips import Clips
from tests.pipeline.live.sealed_streams import keys_in, recovered
from tests.pipeline.live.test_canary import command_lines, contents
from tests.pipeline.live.test_live import frames, wait_for_frames
from tests.pipeline.live.test_run import config, facewarden
from tests.pipeline.live.test_stops import Started, started, wait_until
from tests.rtsp_server import RtspServer


@pytest.fixture
def settings(tmp_path: Path) -> SealSection:
    folder = tmp_path / "keys"
    folder.mkdir()
    return keys_in(folder)


@pytest.fixture
def short_tmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Ray's folder goes; sockets want a short name."""
    folder = Path(tempfile.mkdtemp(prefix="c", dir="/tmp"))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def canaries(settings: SealSection) -> dict[str, bytes]:
    secret = key_from_file(Path(settings.key_file)).reveal()
    return {
        "bytes": secret,
        "hex": secret.hex().encode(),
        "upper": secret.hex().upper().encode(),
        "base64": base64.b64encode(secret).rstrip(b"="),
        "repr": repr(secret)[2:-1].encode(),
        "half": secret.hex()[:32].encode(),
    }


def environments(process: psutil.Process) -> Iterator[tuple[str, bytes]]:
    for child in process.children(recursive=True):
        try:
            yield f"environment of {child.pid}", Path(f"/proc/{child.pid}/environ").read_bytes()
        except OSError:
            continue


def seen(secrets: dict[str, bytes], *found: Iterator[tuple[str, bytes]]) -> set[tuple[str, str]]:
    return {
        (name, where) for each in found for where, text in each for name, secret in secrets.items() if secret in text
    }


def kill(run: Started, kind: str) -> None:
    wait_until(lambda: run.helpers(kind))
    run.helpers(kind)[0].send_signal(SIGKILL)


@pytest.mark.usefixtures("rtsp_available")
@pytest.mark.timeout(300)
def test_a_camera_is_sealed_through_kills_and_the_key_is_nowhere(
    clips: Clips, tmp_path: Path, short_tmp: Path, settings: SealSection
) -> None:
    out, secrets, leaks = tmp_path / "out", canaries(settings), set[tuple[str, str]]()
    options = ("--config", config(tmp_path), "--keyring", settings.keyring, "--key-file", settings.key_file)
    with (
        RtspServer(play={"door": clips("h264_long_gop").path}) as camera,
        started(camera.url("door"), "-o", out / "camera.mp4", *options) as run,
    ):
        for kind in ("ray::Worker", "ray::IoActor", "ray::Worker", ""):
            wait_for_frames(out, frames(out) + 30)
            process = psutil.Process(run.process.pid)
            looked = len(list(environments(process)))
            leaks |= seen(secrets, contents(out, short_tmp), command_lines(process), environments(process))
            if kind:
                kill(run, kind)
        code, words = run.end(SIGINT)

    assert code in (0, 1), words  # 1: a killed reader has lost what the camera sent meanwhile
    assert looked > 4, "Ray's processes were looked at"
    recordings = sorted(out.glob("camera_*.mp4"))
    stream = read_line((out / "verdicts.jsonl").read_text().splitlines()[0]).stream
    lines = frame_lines(out / "verdicts.jsonl", stream)
    checks = [check_sealed(video, lines) for video in recordings]
    assert [fault for check in checks for fault in check.faults] == []
    assert len(recordings) > 1
    for check in checks:
        assert check.seals == check.frames == check.masks + check.unreported
    assert sum(check.masks for check in checks) > 90
    assert recovered(recordings[-1], settings, tmp_path / "back.mkv").faces == checks[-1].frames
    assert not leaks | seen(secrets, contents(out, short_tmp), iter([("words", words.encode())]))


def test_several_files_are_sealed_in_one_run_with_low_latency(
    clips: Clips, tmp_path: Path, settings: SealSection
) -> None:
    sources = [clips("h264_open_gop").path, clips("rotated").path]
    path = config(tmp_path)
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "delivery": "low_latency"}))
    options = ("--config", path, "--keyring", settings.keyring, "--key-file", settings.key_file)

    done = facewarden("run", *sources, "-o", tmp_path / "out", *options)

    assert done.returncode == 0, done.stderr
    for source in sources:
        video = tmp_path / "out" / f"{source.stem}_anonymized{source.suffix}"
        check = check_sealed(video, frame_lines(tmp_path / "out" / "verdicts.jsonl", source.name))
        assert check.faults == () and check.frames == check.masks == check.seals > 20
        assert recovered(video, settings, tmp_path / f"{source.stem}.mkv").faces == check.frames
    refused = facewarden("run", sources[0], "-o", video, *options)
    assert refused.returncode == 2 and "is there already" in refused.stderr


def test_a_push_is_refused_before_anything_starts(clips: Clips, tmp_path: Path, settings: SealSection) -> None:
    options = ("--config", config(tmp_path), "--keyring", settings.keyring, "--key-file", settings.key_file)

    done = facewarden("run", clips("h264_plain").path, "-o", "rtsp://127.0.0.1:1/in", *options)

    assert done.returncode == 2
    assert "a push leaves no file that seals could lie beside" in done.stderr
    assert not list(tmp_path.glob("**/.facewarden"))
