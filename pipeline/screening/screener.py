"""One pass over one uploaded video: every frame through the steps of a config, and what they claim in the end."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import Self

import cv2

from engines import ConfigError, FrameError, StreamError
from operators import Concludes, Operator, Remembers
from operators.deepfake.scores import FORGET_AFTER_FRAMES, of_video
from operators.frame import Frame, Verdict
from pipeline.config import Config
from pipeline.live.steps import open_steps
from pipeline.media.frames import VideoFrames
from pipeline.screening.networks import JUDGES
from pipeline.screening.observations import Notes
from pipeline.wire import Head

STREAM = "video"
LISTEN_EVERY = FORGET_AFTER_FRAMES // 3
"""Frames between two questions what is said of the tracks: detectors forget those that have long ended."""
MARGIN = 1.1
"""Of shown crops, where no system gives a map that lies on its own."""
FAILURES = (ValueError, RuntimeError, LookupError, ArithmeticError, cv2.error)
"""What steps, and the libraries below them, raise on a picture that they cannot take: it costs that frame alone."""
TOLD = 5
"""So many different reasons of frames that failed are kept."""

Moved = Callable[[int, int], None]
"""Is called with the frames so far, and those expected or 0."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was found: its name, SHA-256 in hexadecimal, and size in bytes."""

    path: Path
    sha256: str
    size: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Reads the file once.

        Raises:
            StreamError: it cannot be read.
        """
        if path.is_symlink():
            raise StreamError(f"{path}: is a link, which may lead anywhere; give the file itself")
        if not path.is_file():
            raise StreamError(f"{path}: expected a file")
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                return cls(path, file_digest(file, "sha256").hexdigest(), path.stat().st_size)
        except OSError as error:
            raise StreamError(f"{path}: cannot be read ({error.strerror})") from error


@dataclass(frozen=True, eq=False, slots=True)
class Screening:
    """What came of one video.

    Attributes:
        head: how it is coded; without a codec if it could not be opened.
        frames, looked: how many were decoded, and looked at by the steps after the detector.
        seconds: when the last frame was shown, from the first one on.
        lost: frames that could not be decoded, or that a step failed on, by why.
        reason: why the file could not be read to its end; empty if it was.
        verdicts: of each system, on the video as a whole.
    """

    head: Head = field(default_factory=Head)
    frames: int = 0
    looked: int = 0
    seconds: float = 0.0
    lost: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    notes: Notes = field(default_factory=Notes)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return not self.reason and not self.lost


class Screener:
    """The opened steps of a config, for one video after the other. A context manager.

    Args:
        steps: operators by name; `config`'s own, opened, if None.

    Raises:
        ConfigError: no detector of faces or of forgeries among them, or an option is wrong.
        EngineError: a network does not open.
    """

    def __init__(self, config: Config, steps: Mapping[str, Operator] | None = None) -> None:
        self._operators = dict(steps) if steps is not None else open_steps(config)
        finders = [number for number, name in enumerate(self._operators) if name.startswith("detect.")]
        if not finders:
            raise ConfigError("steps: expected a detect operator, got none; no face would be found")
        names = list(self._operators)
        self._finding, self._judging = names[: finders[-1] + 1], names[finders[-1] + 1 :]
        self._concluding = {
            name.removeprefix(JUDGES).partition("#")[0]: operator
            for name, operator in self._operators.items()
            if name.startswith(JUDGES) and isinstance(operator, Concludes)
        }
        if not self._concluding:
            raise ConfigError(f"steps: expected a {JUDGES}* operator, got none; nothing would be said")
        self._limits = config.jail.limits
        maps = (getattr(operator, "map_margin", None) for operator in self._concluding.values())
        self._margin = float(next(filter(None, maps), MARGIN))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Some libraries want to be closed, and raise at the interpreter's exit otherwise."""
        for operator in self._operators.values():
            close = getattr(operator, "close", None)
            if close is not None:
                close()

    def screen(self, upload: Upload, moved: Moved = lambda _done, _all: None) -> Screening:
        """Looks at a video to its end, or as far as it can be read."""
        self._forget()
        pictures, notes = VideoFrames(upload.path, STREAM, self._limits), Notes(margin=self._margin)
        lost: Counter[str] = Counter()
        looked, seconds = 0, 0.0
        for frame in pictures:
            seconds = frame.source_s
            try:
                looked += self._look(frame, notes)
            except FrameError as error:
                self._lose(lost, str(error))
            except FAILURES as error:
                self._lose(lost, f"{type(error).__name__}: {error}")
            if frame.index % LISTEN_EVERY == LISTEN_EVERY - 1:
                self._listen(notes)
                notes.thin(frame.index - FORGET_AFTER_FRAMES)
            moved(pictures.shown, pictures.head.frames_expected)
        self._listen(notes)
        notes.thin(pictures.shown)
        verdicts = {
            name: of_video(STREAM, operator.verdicts(STREAM)[-1].model, notes.said(name))
            for name, operator in self._concluding.items()
        }
        self._forget()
        lost.update(pictures.lost)
        reason = (
            pictures.reason
            or _unseen(pictures.head)
            or ("" if _unchanged(upload) else "the file changed while it was being read")
        )
        return Screening(pictures.head, pictures.shown, looked, seconds, lost, reason, notes, verdicts)

    def _look(self, frame: Frame, notes: Notes) -> bool:
        """Takes a frame through the steps; those after the detector see only what it has looked at."""
        for name in self._finding:
            (frame,) = self._operators[name]([frame])
        if not frame.examined:
            return False
        for name in self._judging:
            (frame,) = self._operators[name]([frame])
        notes.add(frame)
        return True

    @staticmethod
    def _lose(lost: Counter[str], why: str) -> None:
        lost[why if why in lost or len(lost) < TOLD else "other failures"] += 1

    def _listen(self, notes: Notes) -> None:
        for name, operator in self._concluding.items():
            notes.hear(name, operator.verdicts(STREAM)[:-1])

    def _forget(self) -> None:
        for operator in self._operators.values():
            if isinstance(operator, Remembers):
                operator.forget(STREAM)


def _unseen(head: Head) -> str:
    """What of a file was not looked at: players can be told to show it."""
    others = head.other_videos
    return f"{others} more video track{'s' if others > 1 else ''} in it, which nobody looked at" if others else ""


def _unchanged(upload: Upload) -> bool:
    with suppress(StreamError):
        return Upload.of(upload.path) == upload
    return False
