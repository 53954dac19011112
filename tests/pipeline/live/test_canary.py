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
from typer.testing import CliRunner

from pipeline.commands.app import app

SECRETS = {name: f"c4n4ry{name}" for name in ("LOGIN", "QUERY", "PATH", "VARIABLE", "FILE", "KAFKA", "CONFIG")}


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
    (tmp_path / "zones.yaml").write_text(
        f"# the door's password is {SECRETS['CONFIG']}\n{yaml.safe_dump({'steps': zones})}"
    )
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


S = SECRETS["CONFIG"]
STEPS = "steps: [{use: detect.zones, options: {boxes: [[0, 0, 1, 1]]}}, {use: deidentify.cover}]\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{STEPS}broker: {{sasl_plain_password: {S}}}\n",
        f'{STEPS}password: "{S}\n',
        f"{STEPS}password: [{S}\n",
        f"{STEPS}password: *{S}\n",
        f"{STEPS}password: !{S}\n",
        f"{STEPS}password: !{S}!x y\n",
        f"{STEPS}a: &{S} 1\nb: &{S} 2\nc: {{\n",
        f"password: {S}: {S}\n",
        S,
        f"- {S}",
        f'{STEPS}seal: {{key_command: "vault --token {S}", keyring: nowhere, more: {S}}}\n',
        f"steps: [{{use: detect.zones, options: {{boxes: [[0, 0, 1, 1]], password: {S}}}}}]\n",
    ],
)
def test_what_is_wrong_with_a_config_is_said_without_its_words(tmp_path: Path, text: str) -> None:
    """A line that cannot be read may be that of a password."""
    config = tmp_path / "config.yaml"
    config.write_text(text)

    done = CliRunner().invoke(app, ["check", str(config)])

    assert done.exit_code == 2, done.output
    assert "error: " in done.output and S not in done.output


@pytest.mark.parametrize(
    "options",
    [
        ["--broker", "kafka://127.0.0.1:9", "--broker-option", f"sasl_plain_password={S}"],
        ["--broker", "kafka://127.0.0.1:9", "--broker-option", f"sasl_plain_passwrd={S}"],
        ["--broker", "kafka://127.0.0.1:9", "--broker-option", S],
        ["--broker", f"kafka://me:{S}@127.0.0.1:9"],
        ["--broker", f"kafka://127.0.0.1:9?sasl_plain_password={S}&more=1"],
        ["--broker", f"kafka://127.0.0.1:9/{S}"],
        ["--broker", f"https://me:{S}@host?token={S}"],
        ["--broker", f"sqlite:///nowhere/x.db?password={S}"],
    ],
)
def test_what_is_wrong_with_a_broker_is_said_without_its_password(tmp_path: Path, options: list[str]) -> None:
    """Before anything is started, and nothing is left."""
    (tmp_path / "clip.mp4").touch()
    (tmp_path / "zones.yaml").write_text(STEPS)
    source = ["run", str(tmp_path / "clip.mp4"), "-o", str(tmp_path / "out"), "--config", str(tmp_path / "zones.yaml")]

    done = CliRunner().invoke(app, [*source, *options])

    assert done.exit_code == 2, done.output
    assert "error: " in done.output and S not in done.output
    assert not (tmp_path / "out").exists()
