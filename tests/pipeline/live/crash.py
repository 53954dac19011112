"""Processes that die in the middle of something, as tests stand for them."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.live.sink_state import SinkState
from pipeline.media import Recording


class Crash(BaseException):
    """Stands for SIGKILL: nobody catches it."""


def die_before_frame(monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    """A recorder dies before it writes that frame; clearing the list that is returned lets it live."""
    left, write = [number], Recording.write

    def mortal(part: Any, packet: Any, **options: Any) -> None:
        if left and packet.track == 0 and packet.number == left[0]:
            raise Crash
        write(part, packet, **options)

    monkeypatch.setattr(Recording, "write", mortal)
    return left


def die_around_saves(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """A sink dies twice: before it stores its state for that time, and in its next life after the following one."""
    save, calls, dead = SinkState.save, iter(range(1000)), list[int]()

    def dying(state: SinkState, **values: Any) -> None:
        number = next(calls)
        if number == call and not dead:
            dead.append(number)
            raise Crash
        save(state, **values)
        if number == call + 1 and len(dead) == 1:
            dead.append(number)
            raise Crash

    monkeypatch.setattr(SinkState, "save", dying)
