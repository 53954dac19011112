"""Steps in an order that cannot do what they are for are refused before anything starts."""

from __future__ import annotations

from itertools import permutations

import pytest

from engines import ConfigError
from operators import available
from pipeline.config import config_folder, load
from pipeline.live.step_order import RANKS, require_covers, require_order, shortcomings

WHOLE = ("detect.cascade", "track", "keep", "deidentify.cover")


@pytest.mark.parametrize(
    "uses",
    [
        WHOLE,
        ("detect.cascade", "deidentify.cover"),
        ("detect.zones", "detect.yunet", "track", "deidentify.cover"),
        ("own.thing", *WHOLE, "own.thing"),
        ("detect.cascade", "track", "deidentify.cover", "deepfake.acmf"),
        ("detect.cascade", "track", "deepfake.acmf", "deidentify.cover"),
    ],
    ids=" ".join,
)
def test_orders_that_work(uses: tuple[str, ...]) -> None:
    require_order(uses)


@pytest.mark.parametrize("uses", [order for order in permutations(WHOLE) if order != WHOLE], ids=" ".join)
def test_every_other_order_of_the_usual_steps_is_refused(uses: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"^steps: "):
        require_order(uses)


@pytest.mark.parametrize(
    ("uses", "sentence"),
    [
        ((), "expected a detect operator"),
        (("track", "deidentify.cover"), "expected a detect operator"),
        (("detect.yunet", "deidentify.cover", "detect.zones"), "detect.zones comes after deidentify.cover"),
        (("detect.yunet", "keep", "deidentify.cover"), "keep needs a track step before it"),
        (("detect.yunet", "track", "track"), "expected one track step, got two"),
        (("detect.yunet", "deepfake.acmf", "landmarks.mediapipe"), "landmarks.mediapipe comes after deepfake.acmf"),
    ],
)
def test_what_is_wrong_is_said(uses: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        require_order(uses)


def test_steps_that_cover_nothing_are_no_run() -> None:
    require_covers(WHOLE)
    with pytest.raises(ConfigError, match="expected a deidentify operator"):
        require_covers(WHOLE[:-1])


@pytest.mark.parametrize(
    ("uses", "words"),
    [
        (WHOLE, []),
        (("detect.zones", "detect.yunet", "deidentify.cover"), []),
        (("detect.zones", "track", "deidentify.cover"), ["no step looks for faces"]),
        (("detect.yunet",), ["no step covers faces"]),
    ],
)
def test_what_one_should_know(uses: tuple[str, ...], words: list[str]) -> None:
    assert [found.partition(":")[0] for found in shortcomings(uses)] == words


def test_every_operator_has_a_place_in_the_order() -> None:
    kinds = {name.partition(".")[0] for name in available()}

    assert kinds == set(RANKS)


def test_packaged_configs_are_in_order() -> None:
    names = [file.stem for file in (config_folder() / "pipelines").glob("*.yaml")]

    assert names
    for name in names:
        require_order([step.use for step in load(name).steps])
