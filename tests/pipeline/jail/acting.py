"""Starts `misbehaving` in a jail."""

from __future__ import annotations

from typing import Any

from engines import FrameError
from pipeline.jail.parent import Jail, JailLimits

ROLE = "tests.pipeline.jail.misbehaving"
LIMITS = JailLimits(memory_bytes=512 << 20, timeout_s=10.0, max_packet_bytes=4 << 20)


def jail(act: str, limits: JailLimits = LIMITS, **settings: Any) -> Jail:
    return Jail(ROLE, {"act": act, **settings}, limits, error=FrameError, subject="clip")


def answer(act: str, limits: JailLimits = LIMITS, **settings: Any) -> str:
    """The first message of a child that does this."""
    with jail(act, limits, **settings) as child:
        message = child.receive(10)
    assert message is not None
    return message.payload.decode()
