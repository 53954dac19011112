"""Which frames a file shows: those of their epoch alone, whatever the order in which they are coded."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.live.shown_frames import ShownFrames
from pipeline.wire import Packet


def shown(epoch: int, numbers: Iterable[int], *, key_every: int = 8, to: ShownFrames | None = None) -> ShownFrames:
    made = ShownFrames() if to is None else to
    for at, number in enumerate(numbers):
        made.add(Packet(epoch=epoch, number=number, key=at % key_every == 0, seals=2))
    return made


def test_frames_of_a_coded_order_are_one_run() -> None:
    made = shown(0, [0, 4, 2, 1, 3, 8, 6, 5, 7])

    assert made.runs() == [(0, 0, 9)]
    assert len(made) == 9 and made.seals == 18


def test_a_frame_that_was_withheld_is_a_gap() -> None:
    made = shown(3, [0, 2, 1, 5, 4])

    assert made.runs() == [(3, 0, 3), (3, 4, 2)]
    assert (3, 2) in made and (3, 5) in made
    assert (3, 3) not in made and (3, 6) not in made


def test_the_same_frame_of_another_epoch_is_not_shown() -> None:
    made = shown(2, range(30, 40), to=shown(1, range(30)))

    assert made.runs() == [(1, 0, 30), (2, 30, 10)]
    assert (1, 29) in made and (2, 30) in made
    assert (2, 29) not in made and (1, 30) not in made and (0, 3) not in made


def test_it_goes_on_from_what_was_stored() -> None:
    made = shown(1, range(10))

    again = shown(1, range(10, 12), to=ShownFrames(made.runs(), made.seals))

    assert again.runs() == [(1, 0, 12)] and again.seals == 24


def test_it_stays_small_however_long_it_grows() -> None:
    made = ShownFrames()
    for first in range(0, 10_000, 4):
        shown(0, [first, first + 3, first + 1, first + 2], key_every=4, to=made)

    assert len(made._runs) < 5
    assert made.runs() == [(0, 0, 10_000)]
