"""The floors: what the work costs at least on this machine, with nothing of ours around it; one thread each."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import onnxruntime
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from engines import Engine
from pipeline.brokers import MASKED, PACKETS, Message, open_broker
from pipeline.config import EncodeSection

ENGINE_LOOPS, ENGINE_S = 5, 0.5
"""A bare network runs so often at least, and so long."""
BATCH = 32
"""Messages of one transaction, where nothing waits for a single one."""

EngineInputs = Mapping[str, NDArray[Any]]
Shapes = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Codec:
    """CPU-ms per frame of bare decoding and of bare encoding."""

    decode_ms: float
    encode_ms: float

    @property
    def both_ms(self) -> float:
        return self.decode_ms + self.encode_ms


def codec_floor(clip: Path, encode: EncodeSection, *, low_latency: bool) -> Codec:
    """Decodes the clip and encodes its pictures as the config says."""
    spent = {"decode": 0.0, "encode": 0.0}
    frames = 0
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        encoder = _encoder(stream, encode, low_latency)
        decoded = container.decode(stream)
        while True:
            began = time.process_time()
            frame = next(decoded, None)
            between = time.process_time()
            if frame is None:
                break
            frame.pict_type = PictureType.NONE  # else the source's types are forced
            encoder.encode(frame)
            frames += 1
            spent["decode"] += between - began
            spent["encode"] += time.process_time() - between
        began = time.process_time()
        encoder.encode(None)
        spent["encode"] += time.process_time() - began
    return Codec(1000 * spent["decode"] / frames, 1000 * spent["encode"] / frames)


def encode_times_ms(clip: Path, encode: EncodeSection, *, frames: int) -> list[float]:
    """Wall time of encoding each of the first pictures, by an encoder that holds none back."""
    times = []
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        encoder = _encoder(stream, encode, low_latency=True)
        for frame in itertools.islice(container.decode(stream), frames):
            frame.pict_type = PictureType.NONE
            began = time.perf_counter()
            encoder.encode(frame)
            times.append(1000 * (time.perf_counter() - began))
    return times


def _encoder(stream: av.VideoStream, encode: EncodeSection, low_latency: bool) -> VideoCodecContext:
    latency = {"tune": "zerolatency", "bf": "0"} if low_latency else {}
    name = "libx264" if encode.encoder == "auto" else encode.encoder
    encoder = cast(VideoCodecContext, av.CodecContext.create(name, "w"))
    encoder.width, encoder.height, encoder.pix_fmt = stream.width, stream.height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(stream.time_base or 1), stream.average_rate or Fraction(25)
    encoder.thread_count = 1
    encoder.options = {"preset": encode.preset, "crf": str(encode.crf), **latency, **encode.options}
    return encoder


@dataclass(slots=True)
class Calls:
    """What one network was asked to do.

    Attributes:
        cpu_s: CPU time in it, by the shapes of its inputs, one number for each call.
        samples: one set of inputs for each.
    """

    path: Path
    cpu_s: defaultdict[Shapes, list[float]] = field(default_factory=lambda: defaultdict(list))
    samples: dict[Shapes, EngineInputs] = field(default_factory=dict)

    def reset(self) -> None:
        """Forgets the calls so far, such as those of a warm-up."""
        self.cpu_s.clear()

    @property
    def total_s(self) -> float:
        return sum(map(sum, self.cpu_s.values()))

    def floor_s(self) -> float:
        """What the same calls cost a bare session."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        return sum(len(spent) * _bare(session, self.samples[shapes]) for shapes, spent in self.cpu_s.items())


def _bare(session: Any, inputs: EngineInputs) -> float:
    """CPU-s of one call, the median of several."""
    session.run(None, dict(inputs))
    spent: list[float] = []
    while len(spent) < ENGINE_LOOPS or sum(spent) < ENGINE_S:
        began = time.process_time()
        session.run(None, dict(inputs))
        spent.append(time.process_time() - began)
    return float(np.median(spent))


class Recorded:
    """An engine that notes its calls."""

    def __init__(self, engine: Engine, calls: Calls) -> None:
        self._engine, self._calls = engine, calls

    def __call__(self, **inputs: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        shapes = tuple((name, array.shape) for name, array in sorted(inputs.items()))
        if shapes not in self._calls.samples:
            self._calls.samples[shapes] = {name: np.array(array) for name, array in inputs.items()}
        began = time.process_time()
        outputs = self._engine(**inputs)
        self._calls.cpu_s[shapes].append(time.process_time() - began)
        return outputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def broker_floor(packets: Sequence[bytes], masked: Sequence[bytes]) -> float:
    """CPU-ms per frame of writing and reading these bytes, a batch at a time, with nothing in between.

    Args:
        packets: of a stream, as ingest writes them.
        masked: what became of them.
    """
    with tempfile.TemporaryDirectory(prefix="facewarden-bench-") as folder:
        broker = open_broker(f"sqlite://{folder}/facewarden.db")
        writer, reader = broker.writer("floor"), broker.reader(MASKED, "floor")
        member = broker.member("floor", "floor")
        began = time.process_time()
        for first in range(0, len(packets), BATCH):
            writer.write("floor", [Message(PACKETS, value) for value in packets[first : first + BATCH]], b"")
            records = member.poll(1)
            messages = [Message(MASKED, value) for value in masked[first : first + BATCH]]
            member.commit("floor", messages, b"", resume_offset=records[-1].next_offset)
            reader.read(1)
        spent = time.process_time() - began
        for part in (writer, reader, member, broker):
            part.close()
    return 1000 * spent / len(packets)
