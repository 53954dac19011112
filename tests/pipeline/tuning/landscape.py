"""A landscape of settings that can be worked out by hand: what each costs, and which faces it covers."""

from __future__ import annotations

import numpy as np

from engines import ConfigError
from pipeline.config import Config, Step
from pipeline.live.dry_run import Trial
from pipeline.tuning.goals import SIGHTING_FRAMES
from pipeline.tuning.knobs import knobs

BOX = np.array([[10, 10, 20, 20]], float)
FRAMES = 24
CONFIG = Config(
    steps=[Step(use="detect.centerface", engines={"detector": "centerface"}, options={"every": 2}), Step(use="track")]
)
KNOBS = knobs(CONFIG, longest_px=1280)


def landscape(config: Config, _: str = "", *, faces: int = FRAMES) -> dict[str, Trial]:
    """A face in each frame, which a look covers in three frames, and is too small for pictures below 960 px. Frames lie
    so far apart that each face is a sighting of its own.

    A look costs in proportion to the pixels; a batch above 2 is refused.
    """
    options = config.steps[0].options
    every, side = options.get("every", 1), options.get("max_px", 1920)
    if options.get("batch", 1) > 2:
        raise ConfigError("batch: too large")
    looked = range(0, FRAMES, every) if side >= 960 else ()
    cost = 1 + 100 * (side / 1920) ** 2 / every
    there = {SIGHTING_FRAMES * index: BOX for index in range(faces)}
    covers = {SIGHTING_FRAMES * index: BOX for index in range(FRAMES) if any(0 <= index - look < 3 for look in looked)}
    return {"clip": Trial(FRAMES, 0, cost, {}, np.full(FRAMES, cost), there, covers)}
