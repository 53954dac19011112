"""From a source to the topic `packets`: demuxed in a jail, never re-encoded, hash-chained.

Resumes by what it has written: a file is read again from its start, and the packets that are already there
are checked against the stored chain instead of being written twice. A live source that is lost is opened
again with a growing pause, in a new epoch, for as long as the run lasts.
"""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import suppress

from engines import StreamError
from pipeline.brokers import INGEST, PACKETS, REJECTS, STATE, Broker, BrokerError, Message, Writer
from pipeline.config import Config
from pipeline.live.camera_attempts import CameraAttempts
from pipeline.live.events import Emit, nobody
from pipeline.live.sources import VideoSource
from pipeline.media import Demuxer, SourceDenied
from pipeline.wire import End, Head, IngestState, Ledger, Packet, Reject, StreamRecord, StreamState

BATCH_PACKETS, BATCH_BYTES, BATCH_S = 64, 1 << 20, 0.5
LIVE_BATCH_S = 0.0
"""A camera's packet does not wait for the next one."""
KILLED_PAUSE_S, MOST_KILLED = 1.0, 5
"""A demuxer that was killed at the same packet so often has died of it."""
_WAS_KILLED = "its child process was killed"
PATIENCE_S = 1.0


class _PacketBatch:
    """Packets on their way out, written together with the state that counts them."""

    def __init__(self, broker: Broker, writer: Writer, source: VideoSource, state: IngestState, backlog: int) -> None:
        self._broker, self._writer, self._source, self._backlog = broker, writer, source, backlog
        self._messages: list[Message] = []
        self._bytes = 0
        self._since = time.monotonic()
        self._known = 0
        self._longest_s = LIVE_BATCH_S if source.live else BATCH_S
        self.state = state

    def add(self, record: StreamRecord) -> None:
        value = record.SerializeToString()
        self._messages.append(Message(PACKETS, value))
        self._bytes += len(value)
        due = time.monotonic() - self._since > self._longest_s
        if due or len(self._messages) >= BATCH_PACKETS or self._bytes >= BATCH_BYTES:
            self.flush()

    def reject(self, reason: str, detail: str) -> None:
        reject = Reject(epoch=self.state.epoch, reason=reason, detail=detail[:500])
        self._messages.append(Message(REJECTS, reject.SerializeToString()))

    def flush(self) -> None:
        if not self._source.live:
            self._wait_for_workers()
        self._writer.write(self._source.stream, self._messages, self.state.SerializeToString())
        self._messages, self._bytes, self._since = [], 0, time.monotonic()

    def _wait_for_workers(self) -> None:
        """Until they lag by no more than the backlog; or, since a unit and its look-ahead may be longer than
        that and can end only with more packets, until they have not moved for a while."""
        settled, since = -1, time.monotonic()
        while time.monotonic() - since < PATIENCE_S:
            before, settled = settled, self._settled()
            if self.state.next_number - settled <= self._backlog:
                return
            if settled != before:
                since = time.monotonic()
            time.sleep(0.02)

    def _settled(self) -> int:
        """How far the workers are. Not what the broker still stores: that reaches back by two GOPs, however long."""
        with suppress(BrokerError):  # what is known from before holds the reading back a little longer, no more
            stored = self._broker.latest(STATE, self._source.stream)
            self._known = StreamState.FromString(stored).settled_below if stored else 0
        return self._known


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
        batch = _PacketBatch(broker, writer, source, state, config.backlog)
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
        except StreamError as error:
            batch.flush()
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
    with Demuxer(source.url, audio=config.audio == "copy", limits=config.jail.limits) as demuxer:
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
            elif state.next_number == written.next_number and state.chain != written.chain:
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
            with Demuxer(source.url, audio=audio, limits=limits, live=True, on_silence=attempts.silent) as demuxer:
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
        batch.flush()
        stop.wait(pause_s)
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
    end = End(ledger=Ledger(packets=batch.state.video_packets), reason=reason)
    batch.add(StreamRecord(end=end))
    batch.flush()
