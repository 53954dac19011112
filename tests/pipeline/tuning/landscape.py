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
    steps=[
        Step(use="detect.centerface", engines={"detector": "centerface"}, options={"max_px": 1600}),
        Step(use="track"),
    ]
)
KNOBS = knobs(CONFIG, longest_px=1920)


def landscape(config: Config, _: str = "", *, faces: int = FRAMES) -> dict[str, Trial]:
    """A face in each frame: every second is too small for pictures below 960 px, the others for those below 480 px.
    Frames lie so far apart that each face is a sighting of its own.

    A look costs in proportion to the pixels; a batch above 2 is refused.
    """
    options = config.steps[0].options
    side = options.get("max_px", 1920)
    if options.get("batch", 1) > 2:
        raise ConfigError("batch: too large")
    cost = 1 + 100 * (side / 1920) ** 2
    there = {SIGHTING_FRAMES * index: BOX for index in range(faces)}
    covers = {SIGHTING_FRAMES * index: BOX for index in range(FRAMES) if side >= (960 if index % 2 else 480)}
    return {"clip": Trial(FRAMES, 0, cost, {}, np.full(FRAMES, cost), there, covers)}
