"""From times to words: what took most, and what that calls for."""

from __future__ import annotations

import pytest

from bench.bounds import Floors, Spent, advice

FLOORS = Floors(decode=4, encode=10, engine=50, broker=0.1)


def test_stages_are_sorted() -> None:
    stages = {"decode": 5.0, "detect.centerface": 60.0, "keep": 2.0, "track": 3.0, "paint": 1.0, "encode": 11.0}

    spent = Spent.of(90, stages, broker=4, engine=55)

    assert spent.by_bound() == {"decode": 5, "detect": 62, "encode": 11, "broker": 4, "Python": 8}
    assert spent.bound == "detect"
    assert FLOORS.pass_ms == 14


@pytest.mark.parametrize(
    ("decode", "detect", "encode", "broker", "engine", "words"),
    [
        pytest.param(5, 60, 11, 1, 55, "look less often", id="network at its floor"),
        pytest.param(5, 90, 11, 1, 80, "1.60 times a bare session", id="slow engine"),
        pytest.param(5, 60, 11, 1, 20, "40.0 of it around the networks", id="slow operator"),
        pytest.param(20, 2, 11, 1, 2, "5.00 times bare decoding", id="slow transport"),
        pytest.param(4.4, 2, 2, 1, 2, "a smaller source", id="decoding at its floor"),
        pytest.param(4, 2, 11, 1, 2, "a faster preset", id="encoding at its floor"),
        pytest.param(4, 2, 30, 1, 2, "copies of pictures", id="slow encoding"),
        pytest.param(4, 2, 8, 20, 2, "200.0 times bare writing", id="broker"),
    ],
)
def test_what_to_try_next(
    decode: float, detect: float, encode: float, broker: float, engine: float, words: str
) -> None:
    spent = Spent(decode + detect + encode + broker, decode, detect, encode, broker, engine)

    assert words in advice(spent, FLOORS, busy=1.0)


def test_the_rest_is_python() -> None:
    spent = Spent(100, 5, 5, 5, 5, 2)

    assert advice(spent, FLOORS, busy=0.9).startswith("Python takes 80% of 100.0 CPU-ms per frame")


def test_an_idle_worker_is_told() -> None:
    assert "30% of a core" in advice(Spent(10, 8, 0, 1, 0, 0), FLOORS, busy=0.3)
    assert "of a core" not in advice(Spent(10, 8, 0, 1, 0, 0), FLOORS, busy=0.9)
