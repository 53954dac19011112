"""Packets and pixels: demux, decode, encode, mux. The only package that imports av.

`Demuxer` and `Decoder` are the parent's ends of two jailed child processes, `demuxing` and `decoding`. Names
are looked up on first use, so that a child imports its own module and not its parent's.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.media.decode import Decoded, Decoder, Undecodable, slot_count
    from pipeline.media.demux import Demuxer
    from pipeline.media.encode import Clock, Encoder, masked_head, working_encoder
    from pipeline.media.mux import FileMuxer, RtspPusher, container_for

_HOMES = {
    "Decoded": "decode",
    "Decoder": "decode",
    "Undecodable": "decode",
    "slot_count": "decode",
    "Demuxer": "demux",
    "Clock": "encode",
    "Encoder": "encode",
    "masked_head": "encode",
    "working_encoder": "encode",
    "FileMuxer": "mux",
    "RtspPusher": "mux",
    "container_for": "mux",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = [
    "Clock",
    "Decoded",
    "Decoder",
    "Demuxer",
    "Encoder",
    "FileMuxer",
    "RtspPusher",
    "Undecodable",
    "container_for",
    "masked_head",
    "slot_count",
    "working_encoder",
]
