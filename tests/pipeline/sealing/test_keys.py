"""Keys are derived as RFC 5869 says, come from where they may come from, and never show themselves."""

from __future__ import annotations

import copy
import os
import pickle
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import cloudpickle

from engines import ConfigError
from pipeline.sealing import keyring as keyring_module
from pipeline.sealing import keys as module
from pipeline.sealing.keys import (
    MasterKey,
    StreamKeys,
    hkdf_sha256,
    joined,
    key_from_command,
    key_from_environment,
    key_from_file,
)

SECRET = bytes(range(200, 232))


@pytest.mark.parametrize(
    ("secret", "salt", "info", "made"),
    [
        (
            "0b" * 22, "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(0x50)).hex(), bytes(range(0x60, 0xB0)).hex(), bytes(range(0xB0, 0x100)).hex(),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            "0b" * 22, "", "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
    ids=["A.1", "A.2", "A.3"],
)  # fmt: skip
def test_vectors_of_rfc_5869(secret: str, salt: str, info: str, made: str) -> None:
    given = (bytes.fromhex(value) for value in (secret, salt, info))

    assert hkdf_sha256(next(given), salt=next(given), info=next(given), length=len(made) // 2).hex() == made


@given(st.lists(st.binary(max_size=6), max_size=5), st.lists(st.binary(max_size=6), max_size=5))
def test_no_two_lists_of_fields_are_joined_alike(one: list[bytes], other: list[bytes]) -> None:
    assert (joined(*one) == joined(*other)) == (one == other)


def stream_keys(root: bytes = bytes(32), **changed: object) -> StreamKeys:
    named = {"stream": "cam", "key_id": "00000000", "keyring": "aa" * 16, "period": 1}
    return StreamKeys(root, **(named | changed))  # type: ignore[arg-type]


def test_branches_have_nothing_in_common() -> None:
    keys, neighbour = stream_keys(), stream_keys(bytes(31) + b"\1")

    made = [
        each.branch(name, *fields)
        for each in (keys, neighbour)
        for name, fields in (("encryption", (b"salt",)), ("encryption", (b"Salt",)), ("key map", ()), ("other", ()))
    ] + [keys.mac("x"), neighbour.mac("x")]

    assert len(set(made)) == len(made)
    assert all(len(key) == 32 for key in made)


def test_nonces_never_come_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SEALS", 40)
    keys, twin = stream_keys(), stream_keys()

    drawn = [each.next_nonce() for _ in range(100) for each in (keys, twin)]

    assert len(set(drawn)) == 200
    assert len({salt for salt, _ in drawn}) == 6  # three for each: a new one after 40
    assert {(len(salt), len(nonce)) for salt, nonce in drawn} == {(32, 12)}


def test_a_process_that_forks_does_not_go_on_with_the_nonces_of_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = stream_keys()
    first, _ = keys.next_nonce()

    monkeypatch.setattr(os, "getpid", lambda: -1)

    assert keys.next_nonce()[0] != first


# -- where a key comes from ----------------------------------------------------------------------------


def test_a_key_file_is_written_once_and_read_again(tmp_path: Path) -> None:
    MasterKey(SECRET).write(tmp_path / "key")

    assert key_from_file(tmp_path / "key").reveal() == SECRET
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="is not replaced"):
        MasterKey.new().write(tmp_path / "key")


def test_an_environment_variable_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", f" {SECRET.hex().upper()}\n")

    assert key_from_environment("A_KEY").reveal() == SECRET
    with pytest.raises(ConfigError, match="no such environment variable"):
        key_from_environment("A_KEY")


def test_a_command_prints_the_key() -> None:
    assert key_from_command(f"echo '{SECRET.hex()}'").reveal() == SECRET


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", "got an empty one"), ("'", "expected a command line"), ("/no/such/program", "cannot be run"),
        ("false", "failed with exit code 1"), ("echo abc", "expected 64 hexadecimal digits"),
        ("sh -c 'yes | head -c 9999'", "expected 64"), ("sleep 60", "took longer than 0.2 s"),
        ("sh -c 'sleep 60 & sleep 60'", "took longer than 0.2 s"),
    ],
)  # fmt: skip
def test_commands_that_give_no_key(command: str, words: str) -> None:
    began = time.monotonic()

    with pytest.raises(ConfigError, match=words):
        key_from_command(command, timeout_s=0.2 if "sleep" in command else 20)

    assert time.monotonic() - began < 15


def everybody_reads(path: Path) -> None:
    path.chmod(0o644)


def is_a_link(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")


def is_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def is_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def is_gone(path: Path) -> None:
    path.unlink()


def is_large(path: Path) -> None:
    path.write_bytes(bytes(10_000))


def is_short(path: Path) -> None:
    path.write_text(SECRET.hex()[:-1])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (everybody_reads, "mode 0644"), (is_a_link, "it is a link"), (is_a_pipe, "expected a file"),
        (is_a_folder, "expected a file"), (is_gone, "No such file"), (is_large, "is larger"), (is_short, "expected 64"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_key_files_that_are_not_taken(tmp_path: Path, spoil: Callable[[Path], None], words: str) -> None:
    MasterKey(SECRET).write(tmp_path / "key")
    spoil(tmp_path / "key")

    with pytest.raises(ConfigError, match=words):
        key_from_file(tmp_path / "key")


def test_a_key_file_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MasterKey(SECRET).write(tmp_path / "key")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(ConfigError, match="belongs to user"):
        key_from_file(tmp_path / "key")


# -- what is seen of it --------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [MasterKey(SECRET), stream_keys(SECRET)], ids=["master", "stream"])
@pytest.mark.parametrize("copying", [pickle.dumps, cloudpickle.dumps, copy.copy, copy.deepcopy])
def test_keys_are_never_sent(made: object, copying: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="is not copied, pickled or sent"):
        copying(made)


def test_a_key_is_shown_by_its_id() -> None:
    key = MasterKey(SECRET)

    assert repr(key) == f"MasterKey({key.id})" and len(key.id) == 8
    assert key.id != MasterKey(bytes(32)).id
    assert repr(stream_keys()) == "StreamKeys('cam', key 00000000, period 1)"
    with pytest.raises(ValueError, match="32 bytes"):
        MasterKey(b"short")


@pytest.mark.parametrize("said", [SECRET.hex() + "0", SECRET.hex()[:-1], SECRET.hex()[:-1] + "g"])
def test_what_is_nearly_a_key_is_in_no_traceback(said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("A_KEY", said)
    (tmp_path / "key").write_text(said)
    (tmp_path / "key").chmod(0o600)

    for read in (
        lambda: key_from_environment("A_KEY"),
        lambda: key_from_file(tmp_path / "key"),
        lambda: key_from_command("cat " + str(tmp_path / "key")),
    ):
        with pytest.raises(ConfigError) as caught:
            read()  # type: ignore[no-untyped-call]
        trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        ours = [frame.locals for frame in trace.stack if Path(frame.filename).parent == Path(module.__file__).parent]
        assert ours and said[:32] not in f"{ours}{caught.value}"


def test_map_keys_are_of_one_stream_period_and_salt(keyring: keyring_module.Keyring, master: MasterKey) -> None:
    keys = keyring.stream_keys(master, "cam")
    salt, other = bytes(32), bytes(31) + b"\1"

    assert len(keys.map_key(salt)) == 32
    assert keys.map_key(salt) == keyring.stream_keys(master, "cam").map_key(salt)
    assert len({keys.map_key(salt), keys.map_key(other), keyring.stream_keys(master, "door").map_key(salt)}) == 3
