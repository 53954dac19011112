"""Secrets of a real run are nowhere: not in files, names, messages, or what other users see of its processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

SECRETS = {name: f"c4n4ry{name}" for name in ("LOGIN", "QUERY", "PATH", "VARIABLE", "FILE", "KAFKA")}


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """Where Ray's folder goes; sockets want a short name."""
    folder = Path(tempfile.mkdtemp(prefix="c", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def contents(*folders: Path) -> Iterator[tuple[str, bytes]]:
    for path in (path for folder in folders for path in folder.rglob("*")):
        try:
            yield str(path), str(path).encode() + (path.read_bytes() if path.is_file() else b"")
        except OSError:
            continue  # it has gone meanwhile, or is a socket


def command_lines(process: psutil.Process) -> Iterator[tuple[str, bytes]]:
    for child in process.children(recursive=True):
        try:
            yield f"child {child.pid}", " ".join(child.cmdline()).encode()
        except psutil.Error:
            continue


def leaks(found: Iterator[tuple[str, bytes]]) -> set[tuple[str, str]]:
    return {(name, where) for where, text in found for name, secret in SECRETS.items() if secret.encode() in text}


def test_no_secret_is_anywhere(tmp_path: Path, short_tmp: Path) -> None:
    """Two cameras that are not there: what is refused is talked about most."""
    zones = [{"use": "detect.zones", "options": {"boxes": [[0, 0, 1, 1]]}}, {"use": "deidentify.cover"}]
    (tmp_path / "zones.yaml").write_text(yaml.safe_dump({"steps": zones}))
    (tmp_path / "secret").write_text(SECRETS["FILE"])
    cameras = [
        "rtsp://me:{LOGIN}@127.0.0.1:1/live/bob/{PATH}/x?password={QUERY}".format(**SECRETS),
        f"rtsp://me:{{env:DOOR}}@127.0.0.1:1/door?token={{file:{tmp_path}/secret}}",
    ]
    out, words = tmp_path / "out", tmp_path / "words"
    environment = os.environ | {
        "TMPDIR": str(short_tmp), "DOOR": SECRETS["VARIABLE"], "FACEWARDEN_KAFKA_PASSWORD": SECRETS["KAFKA"],
    }  # fmt: skip
    with words.open("w") as said:
        run = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "run", *cameras, "-o", out, "--config", tmp_path / "zones.yaml"],
            stdout=said, stderr=said, env=environment, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        process, seen, found, deadline = psutil.Process(run.pid), 0, set[tuple[str, str]](), time.monotonic() + 150
        while words.read_text().count("refused") < 4 and time.monotonic() < deadline and run.poll() is None:
            time.sleep(0.5)
            found |= leaks(contents(out, short_tmp)) | leaks(command_lines(process))
            seen = max(seen, len(list(command_lines(process))))
        run.send_signal(signal.SIGINT)
        run.wait(100)

    assert words.read_text().count("refused") >= 4
    assert seen > 4  # Ray's processes were looked at
    assert not found | leaks(contents(out, words.parent / "out")) | leaks(iter([("words", words.read_bytes())]))
    assert not list(short_tmp.iterdir())
    assert not (out / ".facewarden").exists()
