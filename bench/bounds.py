"""What a run was bound by, and what to try next, in words, from its CPU time by stage and its floors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BOUNDS = ("decode", "detect", "encode", "broker", "Python")
FINDERS = ("detect.", "landmarks.", "keep", "deepfake.")
"""Stages that run networks, by the beginning of their names."""
AT_FLOOR = 1.25
"""What costs less than this many times its floor has little left to give."""
IDLE = 0.6
"""A worker that is busy for less of the time than this waits for something else."""


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU-ms per frame: of the whole process tree, and of what is in it.

    Attributes:
        decode: the decoder's process.
        detect: operators that look for faces, `engine` of it in networks.
        encode: the encoder.
        broker: writing to and reading from the broker.
        engine: within networks.
    """

    total: float
    decode: float
    detect: float
    encode: float
    broker: float
    engine: float

    @classmethod
    def of(cls, total: float, stages: Mapping[str, float], *, broker: float, engine: float) -> Spent:
        """Sorts the stages of a ledger."""
        detect = sum(ms for stage, ms in stages.items() if stage.startswith(FINDERS))
        return cls(total, stages.get("decode", 0.0), detect, stages.get("encode", 0.0), broker, engine)

    @property
    def python(self) -> float:
        """All the rest: tracking, covers, painting, the transport of frames, and the loop around them."""
        return max(0.0, self.total - self.decode - self.detect - self.encode - self.broker)

    def by_bound(self) -> dict[str, float]:
        return dict(zip(BOUNDS, (self.decode, self.detect, self.encode, self.broker, self.python), strict=True))

    @property
    def bound(self) -> str:
        """What took most."""
        shares = self.by_bound()
        return max(shares, key=lambda name: shares[name])


@dataclass(frozen=True, slots=True)
class Floors:
    """CPU-ms per frame that the same work costs with nothing around it. An engine floor of 0: no network ran."""

    decode: float
    encode: float
    engine: float
    broker: float

    @property
    def pass_ms(self) -> float:
        """Of a bare pass: decode and encode."""
        return self.decode + self.encode


def advice(spent: Spent, floors: Floors, *, busy: float) -> str:
    """What to try next.

    Args:
        busy: CPU-seconds per second of the run, over all processes.
    """
    bound, share = spent.bound, spent.by_bound()[spent.bound] / max(spent.total, 1e-9)
    said = f"{bound} takes {share:.0%} of {spent.total:.1f} CPU-ms per frame; {_next(bound, spent, floors)}"
    if busy < IDLE:
        said += (
            f". Only {busy:.0%} of a core was busy: the wait between the stages, or another program, bounds the rate"
        )
    return said


def _next(bound: str, spent: Spent, floors: Floors) -> str:
    if bound == "decode":
        ratio = _ratio(spent.decode, floors.decode)
        if ratio < AT_FLOOR:
            return f"it is at its floor ({ratio:.2f} of bare decoding): a smaller source, or decoding in hardware"
        return f"{ratio:.2f} times bare decoding: look at how pictures leave the decoder's process"
    if bound == "encode":
        ratio = _ratio(spent.encode, floors.encode)
        if ratio < AT_FLOOR:
            return f"it is at its floor ({ratio:.2f} of bare encoding): a faster preset, or an encoder in hardware"
        return f"{ratio:.2f} times bare encoding: look at copies of pictures, and at how short the units are"
    if bound == "broker":
        ratio = _ratio(spent.broker, floors.broker)
        return f"{ratio:.1f} times bare writing and reading: longer units, or fewer and larger transactions"
    if bound == "Python":
        return "trace tracking, covers and painting by stage; more workers help where cores are idle"
    around = spent.detect - spent.engine
    if around > spent.engine:
        return f"{around:.1f} of it around the networks: make what is before and after them cheaper"
    if floors.engine and _ratio(spent.engine, floors.engine) >= AT_FLOOR:
        return f"networks take {_ratio(spent.engine, floors.engine):.2f} times a bare session: look at the engine"
    return "networks are at their floor: look less often or at fewer pixels (facewarden tune), int8, or a GPU"


def _ratio(spent: float, floor: float) -> float:
    return spent / floor if floor else 0.0
