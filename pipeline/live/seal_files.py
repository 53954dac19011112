"""Writes the file of seals beside a masked video, from what its stream has left in the topic `sealed`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from engines import StreamError
from pipeline.brokers import MASKED, SEALED, VERDICTS, Broker, Record
from pipeline.config import SealSection
from pipeline.live.sealer import Sealer
from pipeline.sealing.container import SealWriter, ShownRuns, open_seals, sha256_of_file
from pipeline.sealing.seal import VERSION, parsed
from pipeline.wire import FATE_WITHHELD, Seal, SealFileHead, StreamRecord, VerdictRecord

SUFFIX = ".seal"
LAST_WAIT_S = 1.0
"""A stream that has ended has said all: what does not come within this is not there."""


def seal_file_of(video: Path) -> Path:
    """Where the seals of a video lie.

    >>> seal_file_of(Path("out/walk.mp4"))
    PosixPath('out/walk.mp4.seal')
    """
    return video.with_name(video.name + SUFFIX)


def write_seals(broker: Broker, stream: str, video: Path, source: str, settings: SealSection) -> Path:
    """Writes the seals of a stream that has ended, whose masked video is done. Called again, it finds them there.

    Raises:
        StreamError: they cannot be written, or another file has their name.
        RecoveryRefused, ConfigError: the keys are gone.
    """
    target = seal_file_of(video)
    if os.path.lexists(target):
        with open_seals(target) as there:
            if there.end.video_sha256 == sha256_of_file(video):
                return target
        raise StreamError(f"{target}: is there already, with the seals of another video; move it away")
    keys = Sealer(settings, stream).keys()
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    head = next(record.head for record in _masked(broker, stream) if record.HasField("head"))
    try:
        with SealWriter(
            part, SealFileHead(version=VERSION, stream=stream, source=source, time_base=head.time_base)
        ) as to:
            for record in _all(broker, SEALED, stream):
                to.add(parsed(Seal, record.value))
            to.finish(keys, video, shown_runs(broker, stream))
        os.link(part, target)
    except OSError as error:
        raise StreamError(f"{target}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
    return target


def shown_runs(broker: Broker, stream: str) -> ShownRuns:
    """Which frames of a stream its masked video shows: first index and count of each run."""
    runs: list[tuple[int, int]] = []
    for record in _all(broker, VERDICTS, stream):
        for frame in VerdictRecord.FromString(record.value).frames:
            if frame.fate == FATE_WITHHELD:
                continue
            if runs and sum(runs[-1]) == frame.index:
                runs[-1] = runs[-1][0], runs[-1][1] + 1
            else:
                runs.append((frame.index, 1))
    return runs


def _masked(broker: Broker, stream: str) -> Iterator[StreamRecord]:
    return (StreamRecord.FromString(record.value) for record in _all(broker, MASKED, stream))


def _all(broker: Broker, topic: str, stream: str) -> Iterator[Record]:
    """All records that a stream which has ended left in a topic."""
    reader = broker.reader(topic, stream)
    try:
        while records := reader.read(LAST_WAIT_S):
            yield from records
    finally:
        reader.close()
