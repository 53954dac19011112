"""`facewarden keys`: files that are made once, sentences for what cannot be, and no key where none belongs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.commands.app import app
from pipeline.sealing.keyring import read_keyring
from pipeline.sealing.keys import MasterKey, key_from_file

KEY = MasterKey(bytes(range(40, 72)))


def keys(*arguments: Any, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, ["keys", *map(str, arguments)], env=env)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`key` and `ring`, in the current folder."""
    monkeypatch.chdir(tmp_path)
    KEY.write(tmp_path / "key")
    assert keys("new", "--key-file", "key", "--keyring", "ring").exit_code == 0
    return tmp_path


def test_a_new_key_and_its_keyring(tmp_path: Path) -> None:
    done = keys("new", "--key-file", tmp_path / "k", "--keyring", tmp_path / "r")

    made = key_from_file(tmp_path / "k")
    assert done.exit_code == 0 and f"a new master key, {made.id}" in done.stdout
    assert read_keyring(tmp_path / "r").stream_keys(made, "cam").period == 1
    assert made.reveal().hex() not in done.output


def test_a_key_from_elsewhere(tmp_path: Path) -> None:
    by_env = keys("new", "--key-env", "A_KEY", "--keyring", tmp_path / "1", env={"A_KEY": KEY.reveal().hex()})
    by_command = keys("new", "--key-command", f"echo {KEY.reveal().hex()}", "--keyring", tmp_path / "2")

    assert (by_env.exit_code, by_command.exit_code) == (0, 0)
    assert {read_keyring(tmp_path / name).file.key_id for name in "12"} == {KEY.id}


def test_periods_come_and_go(folder: Path) -> None:
    assert "key period 2" in keys("rotate", "--key-file", "key", "--keyring", "ring").stdout
    line = "keys destroy --keyring ring --period 1 --reason x"
    asked = CliRunner().invoke(app, line.split(), input="n\n")
    assert asked.exit_code == 1 and not read_keyring(folder / "ring").file.periods[0].destroyed

    done = keys("destroy", "--keyring", "ring", "--period", 1, "--reason", "[red]over[/red]", "--yes")

    listed = keys("list", "--keyring", "ring").stdout
    assert done.exit_code == 0 and "backups" in done.stdout
    assert "[red]over[/red]" in listed and KEY.id in listed
    assert keys("destroy", "--keyring", "ring", "--period", 1, "--reason", "x", "--yes").exit_code == 1


def test_two_of_three_people_make_the_key_again(folder: Path) -> None:
    (folder / "shares").mkdir()
    done = keys("split", "--key-file", "key", "--needed", 2, "--shares", 3, "-o", "shares")
    files = sorted((folder / "shares").iterdir())
    assert done.exit_code == 0 and len(files) == 3
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert all(json.loads(file.read_text())["value"] not in done.output for file in files)

    one = keys("combine", files[0], "-o", "again")
    assert (one.exit_code, (folder / "again").exists()) == (1, False) and "bring 1 more" in one.stderr
    two = keys("combine", files[2], files[0], "-o", "again")
    assert two.exit_code == 0 and KEY.reveal().hex() not in two.output
    assert key_from_file(folder / "again").reveal() == KEY.reveal()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("new --keyring ring --key-file key", 2, "ring: is there already"),
        ("new --keyring no/ring --key-file new", 2, "no: no such folder"),
        ("new --keyring other", 2, "expected one of --key-file, --key-env and --key-command"),
        ("new --keyring other --key-file key --key-env X", 2, "expected one of"),
        ("new --keyring other --key-env NOT_SET_ANYWHERE", 2, "NOT_SET_ANYWHERE: no such environment variable"),
        ("rotate --keyring ring --key-file none", 2, "none: cannot be opened"),
        ("rotate --keyring ring --key-command false", 2, "--key-command false: failed"),
        ("rotate --keyring key --key-file key", 2, "key: expected a keyring"),
        ("list --keyring none", 2, "none: cannot be opened"),
        ("destroy --keyring ring --period 1 --reason  --yes", 2, "--reason"),
        ("destroy --keyring ring --period 4 --reason x --yes", 1, "no key period 4"),
        ("split --key-file key --needed 1 --shares 3 -o .", 2, "got 1 of 3"),
        ("split --key-file key --needed 2 --shares 3 -o none", 2, "none: no such folder"),
        ("combine key -o again", 2, "key: expected a share"),
        ("combine ring -o key", 2, "key: is there already"),
    ],
)
def test_what_cannot_be_is_one_sentence(folder: Path, arguments: str, code: int, words: str) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    done = keys(*arguments.split(" "))

    assert done.exit_code == code, done.output
    assert words in " ".join(done.output.split()) and "Traceback" not in done.output
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_shares_are_not_written_over_others(folder: Path) -> None:
    assert keys("split", "--key-file", "key", "--needed", 2, "--shares", 2, "-o", ".").exit_code == 0

    again = keys("split", "--key-file", "key", "--needed", 2, "--shares", 2, "-o", ".")

    assert again.exit_code == 2 and "is not replaced" in again.stderr
    assert len(list(folder.glob("share-*"))) == 2
