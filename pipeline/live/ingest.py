"""From a source to the topic `packets`: demuxed in a jail, never re-encoded, hash-chained.

Resumes by what it has written: a file is read again from its start, and the packets that are already there
are checked against the stored chain instead of being written twice. A live source that is lost is opened
again with a growing pause, in a new epoch, for as long as the run lasts.
"""

from __future__ import annotations

import hashlib
import threading
import time

from engines import StreamError
from pipeline.brokers import INGEST, PACKETS, REJECTS, Broker, BrokerError, Message, Writer
from pipeline.config import Config
from pipeline.jail.protocol import readable
from pipeline.live.backlog import Backlog, NeverSettled
from pipeline.live.camera_attempts import CameraAttempts
from pipeline.live.events import Emit, nobody
from pipeline.live.sources import VideoSource
from pipeline.media import Demuxer, SourceDenied
from pipeline.wire import End, Head, IngestState, Ledger, Packet, Reject, StreamRecord

BATCH_PACKETS, BATCH_BYTES, BATCH_S = 64, 1 << 20, 0.5
WORKERS_PAUSE_S = 0.5
LIVE_BATCH_S = 0.0
"""A camera's packet does not wait for the next one."""
KILLED_PAUSE_S, MOST_KILLED = 1.0, 5
"""A demuxer that was killed at the same packet so often has died of it."""
_WAS_KILLED = "its child process was killed"


class _PacketBatch:
    """Packets on their way out, written together with the state that counts them."""

    def __init__(self, writer: Writer, source: VideoSource, state: IngestState, backlog: Backlog) -> None:
        self._writer, self._source, self._backlog = writer, source, backlog
        self._messages: list[Message] = []
        self._bytes = 0
        self._since = time.monotonic()
        self._longest_s = LIVE_BATCH_S if source.live else BATCH_S
        self.state = state

    def add(self, record: StreamRecord, *, last: bool = False) -> None:
        """Gathers a record, and writes all that were gathered when it is time, or with the `last` one."""
        value = record.SerializeToString()
        self._messages.append(Message(PACKETS, value))
        self._bytes += len(value)
        due = time.monotonic() - self._since > self._longest_s
        if not last and (due or len(self._messages) >= BATCH_PACKETS or self._bytes >= BATCH_BYTES):
            self.flush()

    def reject(self, reason: str, detail: str) -> None:
        reject = Reject(epoch=self.state.epoch, reason=reason, detail=readable(detail)[:500])
        self._messages.append(Message(REJECTS, reject.SerializeToString()))

    def flush(self) -> None:
        """Writes what was gathered, when the workers have come near enough.

        Raises:
            StreamError: a camera, which cannot wait, is too far ahead of them; or see `Backlog.wait`.
        """
        self._backlog.add(self.state.next_number, self._bytes)
        if not self._source.live:
            self._backlog.wait()
        elif not self._backlog.has_room():
            raise StreamError(f"{self._source.shown}: {self._backlog.words}; left until they have caught up")
        self.write()

    def write(self) -> None:
        """Writes what was gathered, whatever the workers do: nothing comes after it for now."""
        self._writer.write(self._source.stream, self._messages, self.state.SerializeToString())
        self._messages, self._bytes, self._since = [], 0, time.monotonic()

    def count(self, next_number: int, record: StreamRecord) -> None:
        """Takes note of a packet that was written in a former life."""
        self._backlog.add(next_number, record.ByteSize())

    def has_room(self) -> bool:
        """Whether a camera may be opened."""
        return self._backlog.has_room()


def ingest(broker: Broker, source: VideoSource, config: Config, stop: threading.Event, emit: Emit = nobody) -> str:
    """Reads one source to its end, a live one until `stop` is set; returns at once if that was done before.

    A source that cannot be read ends its stream with a reason, which the stream's last records carry.

    Returns:
        why a camera denied itself at the first try, after which there was no other; else nothing.

    Raises:
        BrokerError: what was read is not known to be stored; call again.
    """
    # The new writer settles what a former one had begun, so only then is it known how far that one came.
    writer = broker.writer(f"ingest.{source.stream}")
    try:
        stored = broker.latest(INGEST, source.stream)
        state = IngestState.FromString(stored) if stored else IngestState()
        if state.ended:
            return ""
        backlog = Backlog(broker, source.stream, config.backlog, config.backlog_mb << 20, emit)
        batch = _PacketBatch(writer, source, state, backlog)
        if source.live:
            return _follow(batch, source, config, stop, emit)
        _copy(batch, source, config)
        return ""
    finally:
        writer.close()


def _copy(batch: _PacketBatch, source: VideoSource, config: Config) -> None:
    """A file: from its start to its end, skipping what was written before.

    What fails is tried again as long as it gets further. A file that breaks twice at the same packet is broken there; a
    demuxer that was killed may have been so by accident, and is forgiven more often.
    """
    failed_at, fails, kills = -1, 0, 0
    while True:
        try:
            _read(batch, source, config)
            return _end(batch, "")
        except BrokerError:
            raise
        except NeverSettled as error:
            batch.reject("source", str(error))
            return _end(batch, str(error))
        except StreamError as error:
            batch.write()
            if batch.state.next_number != failed_at:
                failed_at, fails, kills = batch.state.next_number, 0, 0
            killed = _WAS_KILLED in str(error)
            fails, kills = fails + (not killed), kills + killed
            if fails == 2 or kills == MOST_KILLED:
                batch.reject("source", str(error))
                return _end(batch, str(error))
            if killed:
                time.sleep(KILLED_PAUSE_S)


def _read(batch: _PacketBatch, source: VideoSource, config: Config) -> None:
    """One reading of a file.

    Raises:
        StreamError: it breaks off, or is not the one that was read before. `batch.state` says how far it came.
    """
    written = IngestState()
    written.CopyFrom(batch.state)
    state = IngestState(epoch=written.epoch)
    changed = StreamError(f"{source.shown}: changed while it was being read; run it again")
    audio = config.audio == "copy"
    with Demuxer(source.url, audio=audio, limits=config.jail.limits, container=source.container) as demuxer:
        for record in demuxer:
            if record.WhichOneof("body") == "head":
                if not written.HasField("head"):
                    _begin(batch, record.head, source)
                    written.head.CopyFrom(record.head)
                state.head.CopyFrom(written.head)
                continue
            _number(state, record.packet)
            if state.next_number > written.next_number:
                batch.state.CopyFrom(state)
                batch.add(record)
                continue
            batch.count(state.next_number, record)
            if state.next_number == written.next_number and state.chain != written.chain:
                raise changed
    if state.next_number < written.next_number:
        raise changed


def _follow(batch: _PacketBatch, source: VideoSource, config: Config, stop: threading.Event, emit: Emit) -> str:
    """A camera: opened again and again, until somebody stops it or it denies itself; returns as `ingest`."""
    state = batch.state
    worked = state.HasField("head")
    attempts = CameraAttempts(source.stream, emit, worked=worked)
    limits, audio = config.jail.limits, config.audio == "copy"
    while not stop.is_set():
        attempts.begin()
        denied = False
        try:
            with Demuxer(
                source.url,
                audio=audio,
                limits=limits,
                live=True,
                container=source.container,
                on_silence=attempts.silent,
                stopping=stop.is_set,
            ) as demuxer:
                for record in demuxer:
                    if record.WhichOneof("body") == "head":
                        if state.HasField("head"):
                            state.epoch += 1
                        _begin(batch, record.head, source)
                    else:
                        if record.packet.track == 0:
                            attempts.picture()
                            record.packet.received_us = time.time_ns() // 1000
                        _number(state, record.packet)
                        batch.add(record)
                    if stop.is_set():
                        break
            detail = "the source closed the connection"
        except BrokerError:
            raise
        except StreamError as error:
            detail, denied = str(error), isinstance(error, SourceDenied)
        if stop.is_set():
            break
        pause_s = attempts.fail(detail, denied=denied)
        if pause_s is None:
            batch.reject("source", detail)
            _end(batch, detail)
            return "" if worked or state.HasField("head") else detail
        state.trouble = f"{detail}; trying again in {pause_s:.1f} s"
        batch.reject("source", state.trouble)
        batch.write()
        stop.wait(pause_s)
        while not (stop.is_set() or batch.has_room()):
            stop.wait(WORKERS_PAUSE_S)
    _end(batch, attempts.reason)
    return ""


def _begin(batch: _PacketBatch, head: Head, source: VideoSource) -> None:
    head.epoch, head.source, head.live = batch.state.epoch, source.shown, source.live
    batch.state.head.CopyFrom(head)
    batch.state.trouble = ""
    batch.add(StreamRecord(head=head))


def _number(state: IngestState, packet: Packet) -> None:
    """Gives the packet its number, epoch and place in the hash chain, and counts it."""
    packet.number, packet.epoch = state.next_number, state.epoch
    state.chain = packet.chain = hashlib.sha256(state.chain + packet.data + packet.alpha).digest()
    state.next_number += 1
    state.video_packets += packet.track == 0


def _end(batch: _PacketBatch, reason: str) -> None:
    batch.state.ended = True
    end = End(ledger=Ledger(packets=batch.state.video_packets), reason=readable(reason))
    batch.add(StreamRecord(end=end), last=True)
    batch.write()
