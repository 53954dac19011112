"""What readers list: sets with clips in them, and a share of their groups that a hash chooses."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import ConfigError
from operators.datasets.clips import Clip, DataSet, Split, held_out
from operators.datasets.footage import ImageFiles

SHARES = st.floats(0, 1)


def clip(name: str, split: Split, group: str) -> Clip:
    return Clip(name, ImageFiles(()), 0, split, group)


def test_a_set_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has the layout of made, but no clips"):
        DataSet("made", tmp_path, [])


def test_groups_share_splits_but_splits_share_no_group(tmp_path: Path) -> None:
    first, second, third = clip("1", "train", "Ann"), clip("2", "train", "Ben"), clip("3", "test", "Cem")

    assert len(DataSet("made", tmp_path, [first, second, third, clip("4", "train", "Ann")]).clips) == 4
    with pytest.raises(ConfigError, match="Cem is in test and val"):
        DataSet("made", tmp_path, [first, third, clip("4", "val", "Cem")])


def test_the_same_groups_are_held_out_on_every_machine() -> None:
    held = [number for number in range(40) if held_out(f"id{number}")]

    assert held == [3, 24, 33, 35]


@given(group=st.text(), shares=st.tuples(SHARES, SHARES))
def test_a_larger_share_holds_what_a_smaller_one_held(group: str, shares: tuple[float, float]) -> None:
    assert held_out(group, min(shares)) <= held_out(group, max(shares))
    assert not held_out(group, 0) and held_out(group, 1)


def test_a_share_is_about_that_part_of_the_groups() -> None:
    held = sum(held_out(str(number), 0.3) for number in range(2000))

    assert held == pytest.approx(600, abs=60)
