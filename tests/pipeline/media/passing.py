"""A video through demuxer, decoder, encoder and muxer with nothing in between, and a plain decode to compare with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from operators.frame import Picture
from pipeline.media import Decoded, Decoder, Demuxer, Encoder, EncoderClock, FileMuxer, masked_head
from pipeline.media.decoder import DecoderOutput
from pipeline.wire import Head, Packet, fraction

UNIT = 24
"""Frames that share an encoder: few, so that small clips have several."""


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """What a plain decode says of a frame."""

    time_s: Fraction | None
    end_s: Fraction | None
    size: tuple[int, int]
    rotation: int
    planes: tuple[bytes, ...]


def demux(path: Path) -> tuple[Head, list[Packet]]:
    """The head, and the packets numbered as ingest does."""
    with Demuxer(str(path)) as demuxer:
        head, *packets = [getattr(record, str(record.WhichOneof("body"))) for record in demuxer]
    for number, packet in enumerate(packets):
        packet.number = number
    return head, packets


def decode(head: Head, packets: Sequence[Packet], *, slots: int = 6) -> Iterator[DecoderOutput]:
    """Everything that comes out; a picture's slot is released when the next item is asked for."""
    with Decoder(head, slots=slots) as decoder:

        def received(timeout_s: float) -> Iterator[DecoderOutput]:
            for item in decoder.receive(timeout_s):
                yield item
                if isinstance(item, Decoded):
                    decoder.release(item.slot)

        for packet in packets:
            if packet.track == 0:
                decoder.send(packet)
                yield from received(0)
        decoder.finish()
        while not decoder.done:
            yield from received(0.5)


def frames(head: Head, packets: Sequence[Packet]) -> Iterator[tuple[Packet, Picture]]:
    """The frames that are shown, with their packets; fails on the first packet that is lost."""
    for item in decode(head, packets):
        assert isinstance(item, Decoded), item
        assert not item.corrupt
        if not packets[item.number].discard:
            yield packets[item.number], item.picture


def through(path: Path, out: Path) -> None:
    """Encodes in units with a fresh encoder each, and one clock."""
    head, packets = demux(path)
    clock, encoder, muxer = EncoderClock(), None, None
    made: list[Packet] = []
    for i, (packet, picture) in enumerate(frames(head, packets)):
        pts, duration = times(head, packet, i)
        if i % UNIT == 0:
            if encoder and muxer:
                _finish(encoder, clock, made, muxer)
            encoder, made = Encoder(head, picture.format, picture.width, picture.height, preset="ultrafast"), []
            clock = EncoderClock.from_bytes(clock.to_bytes())
            muxer = muxer or FileMuxer(out, masked_head(head, encoder))
        assert encoder is not None
        made += encoder.encode(picture, pts, duration, key=i % UNIT == 0)
    assert encoder and muxer
    _finish(encoder, clock, made, muxer)
    for packet in packets:
        if packet.track:
            muxer.write(packet)
    muxer.close()


def _finish(encoder: Encoder, clock: EncoderClock, made: list[Packet], muxer: FileMuxer) -> None:
    made += encoder.flush()
    clock.stamp(made)
    for packet in made:
        muxer.write(packet)


def times(head: Head, packet: Packet, index: int) -> tuple[int, int]:
    """pts and duration; counted where the source has no usable ones."""
    tick = round(1 / (fraction(head.rate) * fraction(head.time_base)))
    return (packet.pts, packet.duration or tick) if head.timed else (index * tick, tick)


def plain(path: Path, *, planes: bool = False) -> list[ShownFrame]:
    shown = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            base = stream.time_base or Fraction(0)
            start = None if frame.pts is None else frame.pts * base
            end = None if start is None else start + frame.duration * base
            pixels = tuple(_bytes(plane, frame) for plane in frame.planes) if planes else ()
            shown.append(ShownFrame(start, end, (frame.width, frame.height), frame.rotation, pixels))
    return shown


def _bytes(plane: Any, frame: av.VideoFrame) -> bytes:
    dtype = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    return np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width].tobytes()


def sound(path: Path) -> list[tuple[Fraction, bytes]]:
    """Times and bytes of the audio packets."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        return [((p.pts or 0) * p.time_base, bytes(p)) for p in container.demux(container.streams.audio[0]) if p.size]
