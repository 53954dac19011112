"""What attackers look at: estimates of people's faces from covered tracks, and what recognisers say of them, kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench import leak_attackers, leak_faceres
from bench.leak_people import Cast, cut_out
from bench.leak_stages import KeptArrays, Stages, chunks
from bench.leak_styles import CoverStyle
from bench.leak_tracks import estimates_of
from operators.arrays import Array, Image

CHUNK = 25
PROBE, OTHER = 1, 0
"""Which of a person's two pictures."""
OTHER_TRACK = 10_000
"""Added to the number of a track of the other picture: another stream, with another secret and motion."""
RECOGNISERS: dict[str, Callable[[Sequence[Image]], Array]] = {
    "dlib": leak_attackers.describe,
    "faceres": leak_faceres.describe,
}


class Views:
    """Estimates and descriptions of a cast, by style, picture and number of frames; worked out once.

    Args:
        files: a folder for what styles need.
    """

    def __init__(self, stages: Stages, cast: Cast, files: Path, seed: int) -> None:
        self.stages, self.cast, self.seed = stages, cast, seed
        self.files = files

    # -- tracks ----------------------------------------------------------------------------------------

    def work_out(self, style: CoverStyle, picture: int, rows: Sequence[int]) -> list[KeptArrays]:
        """Tracks of these people, group by group."""
        return self.stages.of_each(
            chunks(rows, CHUNK),
            partial(self._tracks, style, picture),
            partial(self._seen, style, picture),
            f"{style.name}: tracks of picture {picture}",
        )

    def estimates(self, style: CoverStyle, picture: int, count: int, rows: Sequence[int]) -> KeptArrays:
        """`chips (n, 150, 150, 3)` uint8 RGB and `pixels (n, d)` float32 of the first so many frames."""
        parts = self.work_out(style, picture, rows)
        return {part: np.concatenate([each_[f"{part}_{count}"] for each_ in parts]) for part in ("chips", "pixels")}

    def _tracks(self, style: CoverStyle, picture: int, rows: Sequence[int]) -> str:
        counts = "+".join(map(str, self._counts(style, picture)))
        return f"tracks/{style.name}-{style.digest}/{picture}-of-{counts}-{rows[0]}-{rows[-1]}"

    @staticmethod
    def _counts(style: CoverStyle, picture: int) -> tuple[int, ...]:
        """Of how many frames estimates are made: of the gallery's picture, for parrots, only the described ones."""
        return style.counts if picture == PROBE else (max(style.described),)

    def _work_out(self, style: CoverStyle, picture: int, rows: Sequence[int]) -> KeptArrays:
        return self.stages.kept(self._tracks(style, picture, rows), lambda: self._seen(style, picture, rows))

    def _seen(self, style: CoverStyle, picture: int, rows: Sequence[int]) -> KeptArrays:
        hide = style.make(self.files, self.seed)
        counts = self._counts(style, picture)
        jitter, found = self.cast.jitter, dict[str, list[Array]]()
        for row in rows:
            person = self.cast.people[row][picture].cropped()
            number = row + (OTHER_TRACK if picture == OTHER else 0)
            own = jitter[np.random.default_rng((self.seed, number)).integers(len(jitter))]
            made = estimates_of(person, hide, own, counts, number, stretch=style.stretch)
            for count, estimate in made.items():
                found.setdefault(f"chips_{count}", []).append(estimate.chip)
                found.setdefault(f"pixels_{count}", []).append(estimate.pixels)
        return {name: np.stack(values) for name, values in found.items()}

    # -- descriptions ----------------------------------------------------------------------------------

    def clear(self, recogniser: str, picture: int, rows: Sequence[int]) -> Array:
        """Numbers `(n, d)` of clear pictures."""

        def chips(group: Sequence[int]) -> list[Image]:
            return [self.cast.people[row][picture].chip() for row in group]

        return self._described(recogniser, f"clear/{picture}", chips, rows)

    def covered(self, recogniser: str, style: CoverStyle, picture: int, count: int, rows: Sequence[int]) -> Array:
        """Numbers `(n, d)` of estimates."""
        self.work_out(style, picture, rows)

        def chips(group: Sequence[int]) -> list[Image]:
            return list(self._work_out(style, picture, group)[f"chips_{count}"])

        return self._described(recogniser, f"{style.name}-{style.digest}/{picture}-{count}", chips, rows)

    def covered_alone(self, recogniser: str, style: CoverStyle, picture: int, rows: Sequence[int]) -> Array:
        """The same of what the cover hides alone: what lies around it is grey."""
        count = max(style.described)
        self.work_out(style, picture, rows)

        def chips(group: Sequence[int]) -> list[Image]:
            seen = list(self._work_out(style, picture, group)[f"chips_{count}"])
            return cut_out(seen, [self.cast.people[row][picture] for row in group])

        return self._described(recogniser, f"{style.name}-{style.digest}/{picture}-{count}-alone", chips, rows)

    def _described(
        self, recogniser: str, name: str, chips: Callable[[Sequence[int]], list[Image]], rows: Sequence[int]
    ) -> Array:
        parts = self.stages.of_each(
            chunks(rows, CHUNK),
            lambda group: f"numbers/{recogniser}/{name}-{group[0]}-{group[-1]}",
            lambda group: {"numbers": RECOGNISERS[recogniser](chips(group))},
            f"{recogniser}: {name}",
        )
        return np.concatenate([part["numbers"] for part in parts])
