"""The clips of a training: a table of which a part is drawn anew in each epoch, with what the teacher makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines import ConfigError
from operators.arrays import Rng
from operators.cropset import CropSet
from operators.deepfake.gazeforensics.data import KINDS, FaceClip, render, testing_rows, training_rows, videos_of
from operators.forge.face import GenuineFace

Chance = Callable[[str, int], Rng]
"""`run.rng`: of a name and a step."""


@dataclass(frozen=True, eq=False)
class HeldClips:
    """Clips for validation.

    Attributes:
        labels: `(n,)`, forged = 1.
        subjects: `(n,)`, the video, or the still as it was rendered, that each is of.
        groups: `(n,)`, what shares people or a source.
    """

    clips: Sequence[FaceClip]
    labels: NDArray[np.int64]
    subjects: NDArray[np.str_]
    groups: NDArray[np.str_]


class ClipSource:
    """Gives clips of one split: of its videos, if it has any that are long enough, else rendered from its stills.

    Args:
        data: of one split.
        frames: of a clip.
        size: of rendered clips, in pixels; frames of videos keep theirs.
        kinds: of forgery, in rendered clips.

    Raises:
        ConfigError: there is nothing to make clips of.
    """

    def __init__(self, data: CropSet, *, frames: int, size: int, kinds: Sequence[str] = KINDS) -> None:
        self._data, self._frames, self._size, self._kinds = data, frames, size, tuple(kinds)
        videos = [rows for rows in videos_of(data) if len(rows) >= frames]
        self.videos = {fake: [rows for rows in videos if bool(data.labels[rows[0]]) == fake] for fake in (False, True)}
        self.rendered = not videos
        self.genuine = np.flatnonzero(np.asarray(data.labels) == 0)
        if self.rendered and len(self.genuine) < 2:
            raise ConfigError(f"expected videos of {frames} frames or stills of two people, got {len(data)} crops")
        if not self.rendered and not all(self.videos.values()):
            raise ConfigError(
                f"expected genuine and forged videos of {frames} frames, got {len(self.videos[False])} and "
                f"{len(self.videos[True])}; raise per_clip, or use another set"
            )

    def draw(self, rng: Rng, fake: bool) -> FaceClip:
        """A clip for training."""
        if self.rendered:
            kind = self._kinds[rng.integers(len(self._kinds))] if fake else "real"
            return self.rendering(int(rng.choice(self.genuine)), kind, rng)
        rows = self.videos[fake][rng.integers(len(self.videos[fake]))]
        return self._cut(rows[training_rows(len(rows), self._frames, rng)])

    def rendering(self, row: int, kind: str, rng: Rng, hidden: str = "") -> FaceClip:
        """A clip of the still in that row."""
        donor = row
        while donor == row:
            donor = int(rng.choice(self.genuine))
        face, other = self.face(row), self.face(donor)
        return render(face, other, kind, rng, frames=self._frames, size=self._size, hidden=hidden)

    def face(self, row: int) -> GenuineFace:
        return GenuineFace(np.asarray(self._data.pixels[row]), np.asarray(self._data.points[row]))

    def held(self, max_clips: int, rng: Rng) -> HeldClips:
        """Clips for validation, always the same."""
        if self.rendered:
            rows = rng.permutation(self.genuine)[: max(2, max_clips // 2)]
            kinds = [self._kinds[number % len(self._kinds)] for number in range(len(rows))]
            jobs = [(int(row), kind) for row, forged in zip(rows, kinds, strict=True) for kind in ("real", forged)]
            clips = [self.rendering(row, kind, np.random.default_rng((7, row, kind == "real"))) for row, kind in jobs]
            return HeldClips(
                clips,
                labels=np.array([kind != "real" for _, kind in jobs], int),
                subjects=np.array([f"{row}/{kind}" for row, kind in jobs]),
                groups=np.array([str(self._data.groups[row]) for row, _ in jobs]),
            )
        looked = [
            (rows[window], fake)
            for fake, videos in self.videos.items()
            for rows in videos[:max_clips]
            for window in testing_rows(len(rows), self._frames)
        ]
        return HeldClips(
            clips=[self._cut(rows) for rows, _ in looked],
            labels=np.array([int(fake) for _, fake in looked]),
            subjects=np.array([str(self._data.clips[rows[0]]) for rows, _ in looked]),
            groups=np.array([str(self._data.groups[rows[0]]) for rows, _ in looked]),
        )

    def _cut(self, rows: NDArray[np.int64]) -> FaceClip:
        kind = str(self._data.kinds[rows[0]])
        return FaceClip(np.asarray(self._data.pixels[rows]), kind, np.zeros((len(rows), 2)))


class ClipTable:
    """So many clips, half of them forged; in every epoch a part of them is replaced by new ones.

    Args:
        source: gives the clips.
        count: of clips.
        redraw: which part is replaced in each epoch.
        chance: the run's.
        encode: the teacher's numbers `(n, t, width)` of clips `(n, t, s, s, 3)`.
    """

    def __init__(
        self,
        source: ClipSource,
        count: int,
        *,
        redraw: float,
        chance: Chance,
        encode: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    ) -> None:
        self._source, self._count, self._redraw, self._chance, self._encode = source, count, redraw, chance, encode
        self._versions = np.full(count, -1)
        self._epoch = -1
        self.frames: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.targets: NDArray[np.float32] = np.zeros(0, np.float32)
        self.real = np.arange(count) % 2

    def at(self, epoch: int) -> None:
        """Brings the table to an epoch: the same clips, whether or not the epochs before were seen."""
        if epoch == self._epoch:
            return
        wanted = np.zeros(self._count, int)
        for passed in range(1, epoch + 1):
            wanted += self._chance("redraw", passed).random(self._count) < self._redraw
        new = np.flatnonzero(wanted != self._versions)
        if len(new):
            self._renew(new, wanted)
        self._epoch = epoch

    def _renew(self, new: NDArray[np.int64], wanted: NDArray[np.int64]) -> None:
        with ThreadPoolExecutor(2, thread_name_prefix="clips") as pool:
            clips = np.stack(list(pool.map(self._made, new.tolist(), wanted[new].tolist())))
        targets = self._encode(clips)
        if not len(self.frames):
            self.frames = np.empty((self._count, *clips.shape[1:]), np.uint8)
            self.targets = np.empty((self._count, *targets.shape[1:]), np.float32)
        self.frames[new], self.targets[new], self._versions = clips, targets, wanted

    def _made(self, row: int, version: int) -> NDArray[np.uint8]:
        """The frames, all of them flipped or none: the teacher sees them as the student does."""
        rng = self._chance("clip", row * 1000 + version)
        frames = self._source.draw(rng, fake=not self.real[row]).frames
        return frames[:, :, ::-1] if rng.random() < 0.5 else frames
