"""Seals what covers are about to hide, with keys that are read where they are needed: they never go through Ray."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines import ConfigError
from operators.boxes import iou
from operators.frame import Cover, Faces, Frame
from operators.paint.plan import groups_in
from pipeline.config import Config, SealSection
from pipeline.live.sources import LIVE
from pipeline.sealing.keyring import read_keyring
from pipeline.sealing.keys import MasterKey, StreamKeys, key_from_command, key_from_file
from pipeline.sealing.seal import SealedFace, seal_face
from pipeline.wire import Seal

UNTRACKED = -1
WHOLE = "whole"
"""The style of seals of pictures that are covered as a whole."""


class NewestKeys:
    """The keys that one stream is sealed with. When the keyring gets a new key period, it goes on with that one.

    Raises:
        ConfigError: key or keyring cannot be read.
        RecoveryRefused: they do not belong together, or the newest period was destroyed.
    """

    def __init__(self, settings: SealSection, stream: str) -> None:
        self._path, self._stream = Path(settings.keyring), stream
        self._master = _master_key(settings)
        self._read = -1
        self._keys = self()

    def __call__(self) -> StreamKeys:
        """Of the newest key period."""
        try:
            changed = self._path.stat().st_mtime_ns
        except OSError as error:
            raise ConfigError(f"{self._path}: the keyring cannot be read ({error.strerror})") from error
        if changed != self._read:
            self._keys = read_keyring(self._path).stream_keys(self._master, self._stream)
            self._read = changed
        return self._keys


class Sealer:
    """The seals of one stream.

    Raises:
        ConfigError, RecoveryRefused: as `NewestKeys`.
        ConfigError, EngineError: the networks of its tier do not open, or would have to be private.
    """

    def __init__(self, settings: SealSection, stream: str) -> None:
        self._keys = NewestKeys(settings, stream)
        self._seal_face = seal_face
        if settings.tier == "proface_s":
            from pipeline.sealing.carrier import CarrierNetworks  # here: it needs ONNX Runtime

            networks = CarrierNetworks.open(settings.networks, weights_private=settings.weights_private)
            self._seal_face = networks.seal_face

    def __call__(self, frame: Frame, *, epoch: int, pts: int) -> tuple[Seal, ...]:
        """One seal for each cover of a frame that is not painted yet.

        Args:
            epoch, pts: of the masked packet that will show it.
        """
        placed = [each for group in groups_in(frame) for each in group.covers]
        if not placed:
            return ()
        keys, seals = self._keys(), []
        for each, track in zip(placed, tracks_of([each.cover for each in placed], frame.faces), strict=True):
            x1, y1, x2, y2 = map(float, each.region.outer)
            face = SealedFace(epoch, frame.index, pts, track, each.cover.style)
            seals.append(self._seal_face(keys, frame.picture, (x1, y1, x2, y2), face))
        return tuple(seals)

    def whole(self, frame: Frame, *, epoch: int, pts: int) -> tuple[Seal, ...]:
        """The seal of a frame that will be covered as a whole, and was not painted yet: its samples, in either tier."""
        box = (0.0, 0.0, float(frame.picture.width), float(frame.picture.height))
        return (seal_face(self._keys(), frame.picture, box, SealedFace(epoch, frame.index, pts, UNTRACKED, WHOLE)),)


def sealer_for(settings: SealSection, stream: str) -> Sealer | None:
    """None where nothing is sealed."""
    return Sealer(settings, stream) if settings.active else None


def require_sealable(config: Config, output: str | None) -> None:
    """Looks at all that sealing needs before anything starts.

    Raises:
        ConfigError: key or keyring cannot be read, or this run is of a kind that is not sealed.
        RecoveryRefused: they do not belong together.
        EngineError: the networks of a tier do not open.
    """
    settings = config.seal
    if not settings.active:
        if settings.key_file or settings.key_command:
            raise ConfigError("seal: there is a key, but no keyring; name the keyring that `facewarden keys new` made")
        return
    if output is not None and LIVE.match(output):
        raise ConfigError("seal: a push leaves no file that seals could lie beside; name a file or a folder as output")
    Sealer(settings, "")


def tracks_of(covers: Sequence[Cover], faces: Faces) -> list[int]:
    """The track of the face that each cover hides, UNTRACKED where it hides none that has a number.

    >>> faces = Faces.of([[0, 0, 10, 10], [30, 0, 40, 10]], tracks=[4, 7])
    >>> tracks_of([Cover((29, -1, 41, 11)), Cover((80, 80, 90, 90))], faces)
    [7, -1]
    """
    if not len(faces):
        return [UNTRACKED] * len(covers)
    overlap = iou(np.array([cover.box for cover in covers], np.float64).reshape(-1, 4), faces.boxes.astype(np.float64))
    best = overlap.argmax(axis=1)
    return [
        int(faces.tracks[column]) if overlap[row, column] > 0 else UNTRACKED for row, column in enumerate(best.tolist())
    ]


def _master_key(settings: SealSection) -> MasterKey:
    if bool(settings.key_file) == bool(settings.key_command):
        raise ConfigError("seal: expected a key from key_file or from key_command")
    if settings.key_file:
        return key_from_file(Path(settings.key_file))
    return key_from_command(settings.key_command)
