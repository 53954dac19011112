"""Shares: any k of n give the key back, fewer or wrong ones a sentence."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from Crypto.Protocol.SecretSharing import Shamir
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import ConfigError
from pipeline.sealing import RecoveryRefused
from pipeline.sealing.keys import MasterKey
from pipeline.sealing.shares import KeyShare, combine, read_share, split, write_share

MASTER = MasterKey(bytes(range(60, 92)))


@given(st.data(), st.binary(min_size=32, max_size=32))
@settings(max_examples=30)
def test_any_k_of_n_give_the_key_back(data: st.DataObject, secret: bytes) -> None:
    n = data.draw(st.integers(2, 8))
    k = data.draw(st.integers(2, n))
    made = split(MasterKey(secret), k, n)
    brought = data.draw(st.permutations(made).map(lambda order: order[: data.draw(st.integers(k, n))]))

    assert combine(brought).reveal() == secret
    with pytest.raises(RecoveryRefused, match="bring 1 more"):
        combine(brought[: k - 1])


def test_every_pair_of_three() -> None:
    assert {combine(pair).reveal() for pair in combinations(split(MASTER, 2, 3), 2)} == {MASTER.reveal()}


def test_the_scheme_is_that_of_the_tool_ssss() -> None:
    """Made by `ssss-split -t 2 -n 4 -s 128 -D -x`; of the vectors that PyCryptodome publishes."""
    shares = [(4, "db2c1f8bff46d748f795da995bd080cb"), (2, "d897459d29da574eb40e93ec552ffe6e")]
    split_key = "d9fe73909bae28b3757854c0af7ad405"

    assert bytes(Shamir.combine([(n, bytes.fromhex(value)) for n, value in shares], True)).hex() == split_key


def test_shares_look_random_and_show_nothing() -> None:
    one, other = split(MASTER, 2, 3), split(MASTER, 2, 3)

    assert len({share.value for share in one + other}) == 6
    assert MASTER.reveal().hex() not in "".join(share.model_dump_json() for share in one)
    assert all(share.value not in repr(share) for share in one)


@given(st.integers(0, 63), st.integers(1, 15))
def test_a_damaged_share_is_named(digit: int, change: int) -> None:
    first, second, _ = split(MASTER, 2, 3)
    value = second.value[:digit] + f"{int(second.value[digit], 16) ^ change:x}" + second.value[digit + 1 :]

    with pytest.raises(RecoveryRefused, match="share 2 is damaged"):
        combine([first, second.model_copy(update={"value": value})])


def test_a_share_that_was_changed_with_its_checksum() -> None:
    first, second, _ = split(MASTER, 2, 3)
    forged = second.model_copy(update={"value": "00" * 32}).summed()

    with pytest.raises(RecoveryRefused, match="do not give the key"):
        combine([first, forged])


def test_shares_that_do_not_belong_together() -> None:
    one, other, third = split(MASTER, 2, 3), split(MASTER, 2, 3), split(MasterKey.new(), 2, 3)

    for stranger in (other[1], third[1]):
        with pytest.raises(RecoveryRefused, match="of different keys, or of different splittings"):
            combine([one[0], stranger])
    with pytest.raises(RecoveryRefused, match="two different shares 1"):
        combine([one[0], other[0]])
    with pytest.raises(RecoveryRefused, match="2 different shares are needed, 1 came"):
        combine([one[0], one[0]])
    with pytest.raises(RecoveryRefused, match="are needed, 0 came"):
        combine([])


@pytest.mark.parametrize(("needed", "shares"), [(1, 3), (0, 0), (4, 3), (2, 33), (-1, 2)])
def test_numbers_that_cannot_be_meant(needed: int, shares: int) -> None:
    with pytest.raises(ConfigError, match=f"got {needed} of {shares}"):
        split(MASTER, needed, shares)


def test_files_of_shares(tmp_path: Path) -> None:
    share: KeyShare = split(MASTER, 2, 2)[0]

    write_share(share, tmp_path / "share")

    assert read_share(tmp_path / "share") == share
    assert (tmp_path / "share").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="is not replaced"):
        write_share(share, tmp_path / "share")
    (tmp_path / "share").write_text(share.model_dump_json().replace(share.value, share.value[:-1]))
    with pytest.raises(ConfigError, match="expected a share"):
        read_share(tmp_path / "share")
