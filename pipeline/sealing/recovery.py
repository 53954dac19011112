"""Puts sealed faces back into a masked video, for whoever has the key, says why, and is written down.

Chosen tracks only: where the box of another track overlaps a chosen one, that part stays masked. All else is what the
masked video decodes to. Nothing has a name before everything was authenticated and written into the log.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from engines import ConfigError, FacewardenError
from operators.frame import Frame, Picture
from operators.paint.geometry import Rect, steps_of, window
from pipeline.config import CARRIER_NETWORKS
from pipeline.jail.parent import DEFAULT_LIMITS, JailLimits
from pipeline.media import FileMuxer
from pipeline.media.frames import VideoFrames
from pipeline.media.lossless import LosslessEncoder
from pipeline.sealing import RecoveryRefused
from pipeline.sealing.container import SealEntry, SealFile, open_seals, sha256_of_file
from pipeline.sealing.journal import Journal, JournalEntry
from pipeline.sealing.keyring import Keyring, reason_of
from pipeline.sealing.keys import MasterKey, StreamKeys
from pipeline.sealing.private import OWNER_ONLY, sync_folder
from pipeline.sealing.seal import CARRIER, open_seal, put_back
from pipeline.wire import fraction

CLOCKS_APART_S = Fraction(2, 1000)
"""Matroska rounds time stamps to milliseconds."""
SUFFIX = ".mkv"

RecoveryProgress = Callable[[int, int], None]
"""Is called with the frames so far, and those expected."""


@dataclass(frozen=True, slots=True)
class RecoveryRequest:
    """What somebody asks for.

    Attributes:
        masked, sealed: the video and its file of seals.
        output: where the recovered video will be: a Matroska file that is not there yet.
        reason: why.
        tracks: those to bring back; None for all.
        from_s, to_s: the span, in seconds from the first frame on; None for no limit.
        networks: by which carriers give faces back; as `SealSection.networks`.
    """

    masked: Path
    sealed: Path
    output: Path
    reason: str
    tracks: tuple[int, ...] | None = None
    from_s: float | None = None
    to_s: float | None = None
    networks: str = CARRIER_NETWORKS

    def check(self) -> None:
        """Raises ConfigError: it cannot be meant."""
        reason_of(self.reason)
        if self.output.suffix.lower() != SUFFIX:
            raise ConfigError(f"{self.output}: expected a name that ends with {SUFFIX}; pictures are kept without loss")
        if self.output.exists() or self.output.is_symlink():
            raise ConfigError(f"{self.output}: is there already, and is not replaced; name another file")
        if not self.output.parent.is_dir():
            raise ConfigError(f"{self.output.parent}: no such folder; make it first")
        for path in (self.masked, self.sealed):
            if not path.is_file():
                raise ConfigError(f"{path}: no such file; expected the masked video and its file of seals")
        if self.from_s is not None and self.to_s is not None and not self.from_s < self.to_s:
            raise ConfigError(f"--from {self.from_s:g} --to {self.to_s:g}: expected a span that begins before it ends")


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was brought back.

    Attributes:
        faces: so many boxes were put back, in so many `frames`.
        bare: so many of the boxes that were asked for hold a bare cover, and stayed as they were.
        logged: the line in the log.
    """

    faces: int
    frames: int
    bare: int
    logged: JournalEntry


def recover(
    request: RecoveryRequest,
    master: MasterKey,
    keyring: Keyring,
    journal: Journal,
    *,
    limits: JailLimits = DEFAULT_LIMITS,
    moved: RecoveryProgress = lambda *_: None,
) -> Recovery:
    """Writes the masked video with the faces of the chosen tracks, without loss, and a line into the log.

    Raises:
        ConfigError: the request cannot be meant; nothing was tried.
        FacewardenError: refused, or failed: there is no picture, and the log says so.
    """
    request.check()
    entry = JournalEntry(
        outcome="recovered", reason=reason_of(request.reason), key_id=master.id, tracks=request.tracks,
        from_s=request.from_s, to_s=request.to_s,
    )  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix=f".{request.output.name}.", dir=request.output.parent))  # ours alone
    try:
        digest = sha256_of_file(request.masked)
        entry = entry.model_copy(update={"video_sha256": digest.hex()})
        part = folder / request.output.name
        with open_seals(request.sealed) as seals:
            opened = _OpenedSeals(seals, master, keyring, digest, request.networks)
            faces, frames = _write(request, opened, part, limits, moved)
        part.chmod(OWNER_ONLY)
        output = sha256_of_file(part).hex()
        logged = journal.append(entry.model_copy(update={"faces": faces, "output_sha256": output}))
        _publish(part, request.output)
        return Recovery(faces, frames, opened.bare, logged)
    except FacewardenError as error:
        journal.append(entry.model_copy(update={"outcome": "refused", "detail": str(error)}))
        if isinstance(error, RecoveryRefused | ConfigError):
            raise
        raise RecoveryRefused(str(error)) from error
    except BaseException:
        journal.append(entry.model_copy(update={"outcome": "interrupted"}))
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _OpenedSeals:
    """Seals whose file was authenticated, and the keys they need.

    Raises:
        RecoveryRefused: the file is not authentic, is of another video, or its keys are gone or others.
    """

    def __init__(
        self, seals: SealFile, master: MasterKey, keyring: Keyring, video_sha256: bytes, networks: str
    ) -> None:
        self.file, self._master, self._keyring, self._networks = seals, master, keyring, networks
        self.bare = 0
        self._keys: dict[int, StreamKeys] = {}
        end = seals.end
        keyring.require(master)
        if (end.key_id, end.keyring) != (master.id, keyring.file.id):
            raise RecoveryRefused(f"{seals.path}: was sealed with another key or keyring (key {end.key_id[:8]})")
        seals.require(self._of(end.period), video_sha256)
        self.by_frame: dict[int, list[SealEntry]] = defaultdict(list)
        for entry in seals.entries:
            self.by_frame[entry.frame].append(entry)

    def put_back(self, picture: Picture, entry: SealEntry) -> bool:
        """Brings one face back into a picture; false if its seal holds nothing of it."""
        seal = self.file.read(entry)
        keys = self._of(entry.period)
        if seal.scheme == CARRIER:
            from pipeline.sealing.carrier import CarrierNetworks  # here: it needs ONNX Runtime

            planes = CarrierNetworks.open(self._networks, weights_private=True).open_seal(keys, seal)
        else:
            planes = open_seal(keys, seal)
        if planes is None:
            self.bare += 1
            return False
        put_back(picture, seal, planes)
        return True

    def indices(self) -> Iterator[int]:
        """Of the frames that the video shows, in order."""
        for first, count in self.file.shown:
            yield from range(first, first + count)

    def _of(self, period: int) -> StreamKeys:
        if period not in self._keys:
            self._keys[period] = self._keyring.stream_keys(self._master, self.file.head.stream, period)
        return self._keys[period]


@dataclass(slots=True)
class _Clocks:
    """Compares when frames are shown with when seals say they are: in each epoch, one is so much later throughout."""

    seals: Fraction
    video: Fraction
    apart: dict[int, Fraction] = field(default_factory=dict)

    def compare(self, entry: SealEntry, pts: int) -> None:
        apart = pts * self.video - entry.pts * self.seals
        if abs(apart - self.apart.setdefault(entry.epoch, apart)) > CLOCKS_APART_S:
            raise RecoveryRefused(
                f"frame {entry.frame} is shown at another time than its seal says; expected the video as it was"
            )


def _write(
    request: RecoveryRequest, opened: _OpenedSeals, part: Path, limits: JailLimits, moved: RecoveryProgress
) -> tuple[int, int]:
    """How many faces were put back, and in how many frames."""
    chosen = _chosen(request.tracks, opened.file.entries, opened.file.path)
    video, indices = VideoFrames(request.masked, "masked", limits), opened.indices()
    expected = sum(count for _, count in opened.file.shown)
    faces = frames = 0
    encoder: LosslessEncoder | None = None
    muxer: FileMuxer | None = None
    clocks: _Clocks | None = None
    try:
        for frame in video:
            index = next(indices, None)
            if index is None or not video.packet.HasField("pts"):
                raise RecoveryRefused(f"{request.masked}: shows other frames than its seals say")
            if encoder is None or muxer is None or clocks is None:
                encoder = LosslessEncoder(video.head, frame.picture)
                muxer = FileMuxer(part, encoder.head)
                clocks = _Clocks(fraction(opened.file.head.time_base), fraction(video.head.time_base))
            found = opened.by_frame.get(index, [])
            for entry in found:
                clocks.compare(entry, video.packet.pts)
            wanted = [entry for entry in found if entry.track in chosen] if _within(request, frame) else []
            picture, restored = _restored(frame.picture, opened, wanted, found)
            muxer.write(encoder.encode(picture, video.packet.pts, video.packet.duration))
            faces, frames = faces + restored, frames + bool(restored)
            moved(frame.index + 1, expected)
        _check_whole(video, expected, request.masked)
        if not faces:
            bare = f"; {opened.bare} of them hold a bare cover" if opened.bare else ""
            raise RecoveryRefused(f"no seal of these tracks lies in this span that holds a face{bare}")
        if muxer is not None:
            muxer.close()
            muxer = None
    finally:
        if muxer is not None:
            muxer.abort()
    return faces, frames


def _chosen(tracks: Sequence[int] | None, entries: Sequence[SealEntry], path: Path) -> set[int]:
    known = {entry.track for entry in entries}
    missing = sorted(set(tracks or ()) - known)
    if missing:
        there = ", ".join(map(str, sorted(known))) or "none"
        raise RecoveryRefused(f"{path}: has no seal of track {', '.join(map(str, missing))}; there are: {there}")
    return known if tracks is None else set(tracks)


def _within(request: RecoveryRequest, frame: Frame) -> bool:
    after = request.from_s is None or frame.source_s >= request.from_s
    return after and (request.to_s is None or frame.source_s < request.to_s)


def _restored(
    masked: Picture, opened: _OpenedSeals, wanted: Sequence[SealEntry], found: Sequence[SealEntry]
) -> tuple[Picture, int]:
    """The picture with chosen faces, and how many; what lies under the covers of others stays as masked."""
    if not wanted:
        return masked, 0
    y, u, v = (plane.copy() for plane in masked.planes)
    picture = replace(masked, planes=(y, u, v))
    restored = [entry for entry in wanted if opened.put_back(picture, entry)]
    for entry in found:
        if entry not in wanted:
            rect = Rect(*entry.box)
            for target, plane, step in zip(picture.planes, masked.planes, steps_of(masked), strict=True):
                target[window(rect, step)] = plane[window(rect, step)]
    return picture, len(restored)


def _check_whole(video: VideoFrames, expected: int, path: Path) -> None:
    lost: Mapping[str, int] = video.lost
    if video.reason or lost or video.shown != expected:
        why = video.reason or f"{video.shown} of {expected} frames came out of it"
        raise RecoveryRefused(f"{path}: could not be decoded as it was written: {why}")


def _publish(part: Path, output: Path) -> None:
    """Gives a file its name; one that came there meanwhile is not replaced."""
    try:
        os.link(part, output)
    except FileExistsError as error:
        raise ConfigError(f"{output}: is there by now, and is not replaced; name another file") from error
    except OSError:  # a file system without links
        if output.exists():
            raise ConfigError(f"{output}: is there by now, and is not replaced; name another file") from None
        part.replace(output)
    sync_folder(output)
