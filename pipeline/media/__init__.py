"""Packets and pixels: demux, decode, encode, mux. The only package that imports av.

`Demuxer` and `Decoder` are the parent's ends of two jailed child processes, `demuxer_child` and `decoder_child`. Names
are looked up on first use, so that a child imports its own module and not its parent's.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.media.containers import CONTAINERS_BY_SUFFIX, container_for
    from pipeline.media.decoder import Decoded, Decoder, Undecodable, slot_count
    from pipeline.media.demuxer import Demuxer, SourceDenied
    from pipeline.media.encoder import Encoder, EncoderClock, masked_head, working_encoder
    from pipeline.media.mux import DiskError, FileMuxer, RtspPusher
    from pipeline.media.recording import Recording, cut_recording, is_finished

_HOMES = {
    "Decoded": "decoder",
    "Decoder": "decoder",
    "Undecodable": "decoder",
    "slot_count": "decoder",
    "Demuxer": "demuxer",
    "SourceDenied": "demuxer",
    "EncoderClock": "encoder",
    "Encoder": "encoder",
    "masked_head": "encoder",
    "working_encoder": "encoder",
    "CONTAINERS_BY_SUFFIX": "containers",
    "container_for": "containers",
    "DiskError": "mux",
    "FileMuxer": "mux",
    "Recording": "recording",
    "cut_recording": "recording",
    "is_finished": "recording",
    "RtspPusher": "mux",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = [
    "CONTAINERS_BY_SUFFIX",
    "Decoded",
    "Decoder",
    "Demuxer",
    "DiskError",
    "Encoder",
    "EncoderClock",
    "FileMuxer",
    "Recording",
    "RtspPusher",
    "SourceDenied",
    "Undecodable",
    "container_for",
    "cut_recording",
    "is_finished",
    "masked_head",
    "slot_count",
    "working_encoder",
]
