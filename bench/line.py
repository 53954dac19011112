"""A broker, one worker and some cameras in one process, with a look at all that passes between them."""

from __future__ import annotations

import resource
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.floors import Calls, Recorded
from engines import Engine, open_engine
from pipeline.brokers import MASKED, PACKETS, Member, Message, Record, Writer, open_broker
from pipeline.config import Config
from pipeline.live.dry_run import PacketClip, children_cpu_s
from pipeline.live.worker import Worker
from pipeline.wire import End, Head, IngestState, Ledger, StreamRecord, StreamState

PATIENCE_S = 120


class Tap:
    """A member that notes when which masked frame left, what was committed, and what CPU time the broker took."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self.left_s: dict[tuple[str, int], float] = {}
        self.masked: list[bytes] = []
        self.ended: set[str] = set()
        self.states: defaultdict[str, list[StreamState]] = defaultdict(list)
        self.cpu_s = 0.0

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.thread_time()
        try:
            yield
        finally:
            self.cpu_s += time.thread_time() - began

    def poll(self, timeout_s: float, *, max_bytes: int = 8 << 20) -> list[Record]:
        with self._timed():
            return self._member.poll(timeout_s, max_bytes=max_bytes)

    def streams(self) -> frozenset[str]:
        return self._member.streams()

    def state(self, stream: str) -> bytes | None:
        return self._member.state(stream)

    def commit(
        self, stream: str, messages: Sequence[Message], state: bytes, *, resume_offset: int, ended: bool = False
    ) -> None:
        with self._timed():
            self._member.commit(stream, messages, state, resume_offset=resume_offset, ended=ended)
        self._note(stream, messages)
        self.states[stream].append(StreamState.FromString(state))
        if ended:
            self.ended.add(stream)

    def send(self, stream: str, messages: Sequence[Message]) -> None:
        with self._timed():
            self._member.send(stream, messages)
        self._note(stream, messages)

    def rewind(self, stream: str) -> None:
        self._member.rewind(stream)

    def close(self) -> None:
        self._member.close()

    def _note(self, stream: str, messages: Sequence[Message]) -> None:
        now = time.perf_counter()
        for message in messages:
            if message.topic == MASKED:
                packet = StreamRecord.FromString(message.value).packet
                if packet.data:
                    self.left_s.setdefault((stream, packet.number), now)
                    self.masked.append(message.value)


class Feed:
    """Writes the packets of a clip to a stream, as ingest does."""

    def __init__(self, writer: Writer, stream: str, clip: PacketClip, *, live: bool) -> None:
        self._writer, self._stream, self._clip = writer, stream, clip
        self.given = 0
        self.cpu_s = 0.0
        head = Head()
        head.CopyFrom(clip.head)
        head.live = live
        self._write([StreamRecord(head=head).SerializeToString()])

    def give(self, count: int = 1) -> None:
        """The next packets, in one message each."""
        self._write(self._clip.packets[self.given : self.given + count])
        self.given += count

    def end(self) -> None:
        self._write([StreamRecord(end=End(ledger=Ledger(packets=self.given))).SerializeToString()])

    def _write(self, values: Sequence[bytes]) -> None:
        began = time.thread_time()
        state = IngestState(next_number=self.given + len(values)).SerializeToString()
        self._writer.write(self._stream, [Message(PACKETS, value) for value in values], state)
        self.cpu_s += time.thread_time() - began


class BenchLine:
    """A broker, one worker, and some cameras, in this process.

    Args:
        streams: how many cameras show the clip.
        live: they are cameras indeed, and not files.
    """

    def __init__(self, folder: Path, config: Config, clip: PacketClip, *, streams: int, live: bool) -> None:
        url = f"sqlite://{folder}/facewarden.db"
        self.clip, self.streams = clip, [f"s{number}" for number in range(streams)]
        self.networks: dict[str, Calls] = {}
        self._worker = Worker(url, {}, "bench", "worker", config, open_network=self._open)
        self._broker = open_broker(url)
        self._writers = [self._broker.writer(stream) for stream in self.streams]
        self.tap = Tap(self._broker.member("bench", "worker"))
        self.feeds = [Feed(w, s, clip, live=live) for w, s in zip(self._writers, self.streams, strict=True)]

    def _open(self, path: Path) -> Engine:
        return Recorded(open_engine(path), self.networks.setdefault(str(path), Calls(path)))

    def turn_until(self, frames: int) -> float:
        """Works until each stream has let out so many frames; returns when the last one was out.

        Raises:
            SystemExit: they do not come.
        """
        wanted = [(stream, frames - 1) for stream in self.streams]
        deadline = time.monotonic() + PATIENCE_S
        while not all(one in self.tap.left_s for one in wanted):
            self._turn(deadline)
        return max(self.tap.left_s[one] for one in wanted)

    def finish(self) -> None:
        """Ends the streams and works everything off."""
        for feed in self.feeds:
            feed.end()
        self.work_off()

    def work_off(self) -> None:
        """Works until all streams, which have been ended, are stored.

        Raises:
            SystemExit: a frame did not come out masked.
        """
        deadline = time.monotonic() + PATIENCE_S
        while len(self.tap.ended) < len(self.streams):
            self._turn(deadline)
        for stream in self.streams:
            ledger = self.tap.states[stream][-1].ledger
            if ledger.shown != ledger.packets or ledger.covered_whole:
                raise SystemExit(f"{self.clip.name}: not all frames came out masked: {ledger}")

    def _turn(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise SystemExit(f"{self.clip.name}: no frame came out for {PATIENCE_S} s")
        self._worker.turn(self.tap)

    @property
    def broker_s(self) -> float:
        return self.tap.cpu_s + sum(feed.cpu_s for feed in self.feeds)

    def close(self) -> None:
        self._worker.drop_all()
        for writer in self._writers:
            writer.close()
        self.tap.close()
        self._broker.close()


def cpu_s() -> float:
    """Of this process and its children, those that have ended too."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + sum(children_cpu_s().values())
