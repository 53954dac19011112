"""`facewarden recover` and `facewarden log verify`, from keys to pictures; and a canary: the key is seen nowhere."""

from __future__ import annotations

import base64
import os
import pickle
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engines import FacewardenError
from pipeline.commands.app import app
from pipeline.sealing.keyring import destroy, new_keyring, read_keyring
from pipeline.sealing.keys import MasterKey, StreamKeys
from pipeline.sealing.seal import open_seal
from pipeline.sealing.shares import split
from pipeline.wire import Seal
from tests.pipeline.sealing.clip import FRAMES, planes_of, write_clip

ROOT = Path(__file__).parents[3]
KEY = MasterKey(bytes(range(7, 39)))
CANARIES = {
    "hex": KEY.reveal().hex().encode(),
    "upper": KEY.reveal().hex().upper().encode(),
    "base64": base64.b64encode(KEY.reveal()).rstrip(b"="),
    "bytes": KEY.reveal(),
    "repr": repr(KEY.reveal())[2:-1].encode(),
    "half": KEY.reveal().hex()[:32].encode(),
}
ASK = ("--masked", "masked.mp4", "--sealed", "masked.mp4.seal", "--keyring", "ring", "--reason", "order 7")


def facewarden(*arguments: Any) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A masked clip, its seals, `key` and `ring`, in the current folder; the log's anchor is at home."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    KEY.write(folder / "key")
    keys = new_keyring(folder / "ring", KEY).stream_keys(KEY, "cam")
    write_clip(folder, lambda _: keys)
    return folder


def test_faces_are_recovered_and_that_is_written_down(folder: Path) -> None:
    done = facewarden("recover", *ASK, "--key-file", "key", "--track", 1, "-o", "out.mkv")

    assert done.exit_code == 0, done.output
    assert f"out.mkv: {FRAMES} faces in {FRAMES} frames" in done.stdout
    assert len(planes_of(folder / "out.mkv", "yuv420p")) == FRAMES
    verified = facewarden("log", "verify", "ring.log")
    assert verified.exit_code == 0 and "ring.log: whole, 2 lines" in verified.stdout
    head = verified.stdout.split("head ")[1][:64]
    assert head in done.stderr and "order 7" in (folder / "ring.log").read_text()


def test_a_name_is_chosen_where_none_is_given(folder: Path) -> None:
    assert facewarden("recover", *ASK, "--key-file", "key").exit_code == 0

    assert (folder / "masked.recovered.mkv").exists()


def wrong_key(folder: Path) -> None:
    (folder / "key").unlink()
    MasterKey(bytes([8, *range(8, 39)])).write(folder / "key")


def destroyed(folder: Path) -> None:
    destroy(folder / "ring", 1, "it is over")


def changed_metadata(folder: Path) -> None:
    data = (folder / "masked.mp4.seal").read_bytes()
    (folder / "masked.mp4.seal").write_bytes(data.replace(b"cam", b"cat", 1))


def truncated(folder: Path) -> None:
    data = (folder / "masked.mp4.seal").read_bytes()
    (folder / "masked.mp4.seal").write_bytes(data[: len(data) // 2])


def another_video(folder: Path) -> None:
    (folder / "masked.mp4").write_bytes((folder / "masked.mp4").read_bytes() + b"x")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (wrong_key, "needs the master key"), (destroyed, "was destroyed"), (changed_metadata, "was changed"),
        (truncated, "cut off"), (another_video, "belongs to another video"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_refusals(folder: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(folder)

    done = facewarden("recover", *ASK, "--key-file", "key", "-o", "out.mkv")

    assert done.exit_code == 1 and words in " ".join(done.stderr.split())
    assert "Traceback" not in done.output and not list(folder.glob("*.mkv")) and not list(folder.glob(".*"))
    assert facewarden("log", "verify", "ring.log").exit_code == 0
    assert '"outcome":"refused"' in (folder / "ring.log").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--key-file", "key", "-o", "ring"), "ends with .mkv"),
        (("--key-file", "key", "--reason", ""), "--reason"),
        ((), "expected one of --key-file"),
        (("--key-file", "key", "--masked", "none.mp4"), "none.mp4: no such file"),
        (("--key-file", "key", "--anchor", "anchor"), "in another folder"),
        (("--key-file", "key", "--from", "2", "--to", "1"), "begins before it ends"),
        (("--key-file", "key", "--keyring", "key"), "expected a keyring"),
    ],
)
def test_what_cannot_be_meant(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    done = facewarden("recover", *ASK, *arguments)

    assert done.exit_code == 2 and words in " ".join(done.stderr.split())
    assert not (folder / "ring.log").exists()


def test_a_log_that_was_changed_is_found_and_nothing_is_recovered(folder: Path) -> None:
    facewarden("recover", *ASK, "--key-file", "key", "-o", "first.mkv")
    lines = (folder / "ring.log").read_bytes().splitlines(keepends=True)
    (folder / "ring.log").write_bytes(lines[0])

    verified = facewarden("log", "verify", "ring.log")
    done = facewarden("recover", *ASK, "--key-file", "key", "-o", "second.mkv")

    assert (verified.exit_code, done.exit_code) == (1, 1)
    assert "lines were cut off or added" in " ".join(verified.stderr.split())
    assert not (folder / "second.mkv").exists()
    assert facewarden("log", "verify", "none.log").exit_code == 2


OWN_PROCESSES = 2
"""So many of these run as processes: all that Python itself might print is seen there."""
LINES = (
    "keys rotate --keyring ring --key-env A_KEY",
    "recover --masked masked.mp4 --sealed masked.mp4.seal --keyring ring --reason x --key-command 'cat key'",
    "keys split --key-file key --needed 2 --shares 3 -o shares",
    "keys list --keyring ring",
    "recover --masked masked.mp4 --sealed key --keyring ring --reason x --key-file key -o no.mkv",
    "recover --masked key --sealed masked.mp4.seal --keyring ring --reason x --key-file key -o no.mkv",
    "keys list --keyring key",
    "keys combine key -o again",
    "log verify key",
    "check key",
)


def failures(folder: Path) -> Iterator[str]:
    """Tracebacks with all that was in reach."""
    keys, ring = read_keyring(folder / "ring").stream_keys(KEY, "cam", 1), read_keyring(folder / "ring")
    stranger = StreamKeys(bytes(32), stream="cam", key_id=KEY.id, keyring=ring.file.id, period=1)
    for work in (
        lambda: pickle.dumps([KEY, keys]), lambda: sum([KEY, keys]),  # type: ignore[list-item]
        lambda: ring.stream_keys(KEY, "cam", 9),
        lambda: keys.cipher(b"").decrypt(bytes(3), b"", b""), lambda: open_seal(keys, Seal(scheme="escrow", version=1)),
        lambda: open_seal(stranger, Seal(scheme="escrow", version=1, nonce=bytes(12))), lambda: split(KEY, 0, 0),
    ):  # fmt: skip
        with pytest.raises((FacewardenError, TypeError, ValueError)) as caught:
            work()
        yield "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())


def test_the_key_is_seen_nowhere_but_in_its_file(folder: Path) -> None:
    """Commands that work and commands that fail, with what they print and write."""
    (folder / "shares").mkdir()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "A_KEY": KEY.reveal().hex()}
    seen = [text.encode() for text in failures(folder)]
    for number, line in enumerate(LINES):
        if number < OWN_PROCESSES:
            command = [sys.executable, "-m", "pipeline", *shlex.split(line)]
            done = subprocess.run(command, env=env, capture_output=True, check=False)
            seen += [done.stdout, done.stderr]
        else:
            seen.append(facewarden(*shlex.split(line)).output_bytes)
    files = [path for path in folder.parent.rglob("*") if path.is_file() and path.name != "key"]
    assert len(files) > 8 and (folder / "masked.recovered.mkv") in files
    seen += [path.read_bytes() for path in files] + [repr([KEY, read_keyring(folder / "ring")]).encode()]

    assert CANARIES["hex"] in (folder / "key").read_bytes()
    assert not [name for name, canary in CANARIES.items() if any(canary in text for text in seen)]
