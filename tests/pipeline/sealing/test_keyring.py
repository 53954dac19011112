"""A keyring: periods come and go for good, and what it holds opens nothing without the master key."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.sealing import NotAuthentic, RecoveryRefused, private
from pipeline.sealing.keyring import Keyring, destroy, new_keyring, read_keyring, rotate
from pipeline.sealing.keys import MasterKey
from pipeline.sealing.seal import SealedFace, open_seal, seal_face
from tests.pipeline.sealing.clip import draw

FACE = SealedFace(epoch=1, index=2, pts=3, track=4, style="solid")


def test_a_stream_has_other_keys_in_each_period_and_keyring(
    tmp_path: Path, master: MasterKey, keyring: Keyring
) -> None:
    rotate(keyring.path, master)
    ring, other = read_keyring(keyring.path), new_keyring(tmp_path / "other", master)

    made = [
        each.stream_keys(master, stream, period).mac()
        for each, stream, period in ((ring, "a", 1), (ring, "a", 2), (ring, "b", 1), (other, "a", 1))
    ]

    assert len(set(made)) == 4
    assert ring.stream_keys(master, "a").period == 2
    assert ring.stream_keys(master, "a", 1).mac() == keyring.stream_keys(master, "a").mac()


def test_a_destroyed_period_decrypts_nothing_any_more(master: MasterKey, keyring: Keyring) -> None:
    """Neither by the keyring, nor by a copy of it whose entry was put together again from what is left."""
    seal = seal_face(keyring.stream_keys(master, "cam"), draw("yuv420p", 1), (0, 0, 20, 20), FACE)
    assert open_seal(read_keyring(keyring.path).stream_keys(master, "cam", 1), seal)
    wrapped = keyring.file.periods[0].wrapped

    destroy(keyring.path, 1, "order of the court")

    content = keyring.path.read_text()
    assert wrapped not in content and keyring.file.periods[0].nonce not in content
    left = json.loads(content)["periods"][0]
    assert left["destroyed"] > "2026" and left["reason"] == "order of the court"
    with pytest.raises(RecoveryRefused, match=r"key period 1 was destroyed on .* \(order of the court\)"):
        read_keyring(keyring.path).stream_keys(master, "cam", 1)
    forged = {"period": 1, "created": left["created"], "nonce": "00" * 12, "wrapped": "00" * 48}
    keyring.path.write_text(json.dumps(json.loads(content) | {"periods": [forged]}))
    with pytest.raises(NotAuthentic, match="is not as this key made it"):
        read_keyring(keyring.path).stream_keys(master, "cam", 1)
    other = rotate(keyring.path, master).stream_keys(master, "cam")
    with pytest.raises(NotAuthentic):
        open_seal(other, seal)


def test_the_old_file_is_overwritten_where_it_lies(keyring: Keyring) -> None:
    with keyring.path.open("rb") as old:
        destroy(keyring.path, 1, "it is over")

        assert keyring.file.periods[0].wrapped.encode() not in old.read()


def test_what_a_killed_process_left_is_wiped(master: MasterKey, keyring: Keyring) -> None:
    part = keyring.path.with_name(f".{keyring.path.name}.new")
    part.write_bytes(keyring.path.read_bytes())
    part.chmod(0o600)
    with part.open("rb") as stale:
        rotate(keyring.path, master)

        assert not any(stale.read())
    assert not part.exists()


def test_numbers_are_never_used_again(master: MasterKey, keyring: Keyring) -> None:
    destroy(keyring.path, 1, "it is over")
    with pytest.raises(RecoveryRefused, match="facewarden keys rotate"):
        read_keyring(keyring.path).stream_keys(master, "cam")
    with pytest.raises(RecoveryRefused, match="was destroyed"):
        destroy(keyring.path, 1, "again")
    with pytest.raises(RecoveryRefused, match="no key period 9"):
        destroy(keyring.path, 9, "it never was")

    assert rotate(keyring.path, master).newest.period == 2


def test_it_is_private_and_stays_so(master: MasterKey, keyring: Keyring) -> None:
    rotate(keyring.path, master)
    assert keyring.path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in keyring.path.parent.iterdir()] == ["keyring"]

    keyring.path.chmod(0o640)
    with pytest.raises(ConfigError, match="others may read"):
        read_keyring(keyring.path)


def test_another_master_key(keyring: Keyring) -> None:
    stranger = MasterKey.new()

    for work in (lambda: keyring.stream_keys(stranger, "cam"), lambda: rotate(keyring.path, stranger)):
        with pytest.raises(RecoveryRefused, match=f"needs the master key {keyring.file.key_id}; this is {stranger.id}"):
            work()


def swap_periods(data: dict[str, list[dict[str, object]]]) -> None:
    first, second = data["periods"]
    for name in ("nonce", "wrapped"):
        first[name], second[name] = second[name], first[name]


def date_back(data: dict[str, list[dict[str, object]]]) -> None:
    data["periods"][0]["created"] = "2020-01-01T00:00:00Z"


def flip_a_bit(data: dict[str, list[dict[str, object]]]) -> None:
    wrapped = str(data["periods"][0]["wrapped"])
    data["periods"][0]["wrapped"] = f"{int(wrapped[0], 16) ^ 1:x}{wrapped[1:]}"


@pytest.mark.parametrize("change", [swap_periods, date_back, flip_a_bit], ids=lambda change: change.__name__)
def test_a_changed_entry_is_found(
    master: MasterKey, keyring: Keyring, change: Callable[[dict[str, list[dict[str, object]]]], None]
) -> None:
    rotate(keyring.path, master)
    data = json.loads(keyring.path.read_text())
    change(data)
    keyring.path.write_text(json.dumps(data))

    with pytest.raises(NotAuthentic, match="key period 1 is not as this key made it"):
        read_keyring(keyring.path).stream_keys(master, "cam", 1)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": "facewarden-keyring/2"}', "\0", '{"periods": []}'],
    ids=["empty", "list", "nothing", "version", "binary", "no period"],
)
def test_what_is_no_keyring(keyring: Keyring, content: str) -> None:
    keyring.path.write_text(content)

    with pytest.raises(ConfigError, match="expected a keyring"):
        read_keyring(keyring.path)


def test_one_process_at_a_time(master: MasterKey, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "LOCK_WAIT_S", 0.1)
    held = os.open(keyring.path.parent, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)

    with pytest.raises(ConfigError, match="another process"):
        rotate(keyring.path, master)
    os.close(held)

    assert rotate(keyring.path, master).newest.period == 2


def test_reasons_are_needed_and_no_keyring_is_replaced(tmp_path: Path, master: MasterKey, keyring: Keyring) -> None:
    with pytest.raises(ConfigError, match="--reason"):
        destroy(keyring.path, 1, " \n")
    with pytest.raises(ConfigError, match="is there already"):
        new_keyring(keyring.path, master)
    with pytest.raises(ConfigError, match="make the folder first"):
        new_keyring(tmp_path / "no/keyring", master)
