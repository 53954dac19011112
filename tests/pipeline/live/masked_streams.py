"""Streams as a worker leaves them in the topic `masked`: grey pictures that can be counted, encoded for real."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import numpy as np

from operators.frame import PIXEL_FORMATS, Picture
from operators.shown import AS_IT_LIES
from pipeline.brokers import INGEST, MASKED, Broker, Message, open_broker
from pipeline.config import EncodeSection
from pipeline.live.masked_output import MaskedOutput
from pipeline.live.resume import ResumePoint
from pipeline.wire import End, Head, Ledger, Rational, StreamRecord

STREAM = "door"
BEGAN_US = int(datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC).timestamp()) * 1_000_000
SIZE = (64, 48)
SOURCE = Head(codec="h264", time_base=Rational(num=1, den=25), rate=Rational(num=25, den=1), timed=True)
SETTINGS = EncodeSection(preset="ultrafast")


def grey(number: int, size: tuple[int, int] = SIZE) -> Picture:
    """A picture as bright as its number says, 0..50."""
    layout = PIXEL_FORMATS["yuv420p"]
    planes = [np.full(shape, 128, np.uint8) for shape in layout.plane_shapes(*size)]
    planes[0][:] = 16 + 4 * number
    return Picture((planes[0], planes[1], planes[2]), layout)


def number_of(luma: float) -> int:
    """Of a grey picture, by its mean luma."""
    return round((luma - 16) / 4)


def numbers_in(path: Path | str) -> list[int]:
    """Of the pictures in a file, in the order of showing."""
    with av.open(str(path)) as container:
        return [number_of(frame.to_ndarray()[: frame.height].mean()) for frame in container.decode(video=0)]


def feed(output: MaskedOutput, numbers: Iterable[int], *, size: tuple[int, int] = SIZE, clock: int = 0) -> None:
    """Encodes these pictures; the k-th is shown at tick `clock` + k."""
    for number in numbers:
        picture = grey(number, size)
        output.prepare(SOURCE, picture, AS_IT_LIES)
        output.encode(picture, number, clock + number, 1)


def taken(output: MaskedOutput) -> list[StreamRecord]:
    return [StreamRecord.FromString(message.value) for message in output.take()]


def opened(point: ResumePoint | None = None, *, low_latency: bool = False) -> MaskedOutput:
    output = MaskedOutput(SETTINGS, point or ResumePoint())
    output.low_latency = low_latency
    return output


def records_of(
    *numbers: Iterable[int], sizes: Sequence[tuple[int, int]] = (), ended: bool = True
) -> list[StreamRecord]:
    """A stream of an epoch for each group of numbers, with the end that a worker puts after it."""
    output, shown = opened(), 0
    for epoch, group in enumerate(numbers):
        if epoch:
            output.open_epoch()
        group = list(group)
        feed(output, group, size=sizes[epoch] if sizes else SIZE)
        shown += len(group)
    output.finish_unit()
    if ended:
        output.end(End(ledger=Ledger(packets=shown, shown=shown)))
    return taken(output)


def live(*groups: Iterable[int], pauses_s: tuple[float, ...] = (), **options: Any) -> list[StreamRecord]:
    """Records of a camera, 25 frames a second, each with the time when it was received; before each group but the
    first it had paused for so long."""
    records = records_of(*groups, ended=False, **options)
    added_us, epoch = 0, 0
    for record in records:
        if record.HasField("head"):
            if record.head.epoch > epoch:
                epoch = record.head.epoch
                added_us += int((pauses_s[epoch - 1] if pauses_s else 0) * 1e6)
            record.head.live = True
        else:
            record.packet.received_us = BEGAN_US + added_us + record.packet.number * 40_000
    return records


def store(folder: Path) -> Broker:
    return open_broker(f"sqlite://{folder}/store.db")


def publish(broker: Broker, records: Iterable[StreamRecord], *, topic: str = MASKED) -> None:
    writer = broker.writer("worker")
    state = broker.latest(INGEST, STREAM) or b""
    writer.write(STREAM, [Message(topic, record.SerializeToString()) for record in records], state)
    writer.close()
