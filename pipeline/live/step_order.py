"""In which order steps make sense: what finds, what follows, what tells apart, what covers."""

from __future__ import annotations

from collections.abc import Sequence

from engines import ConfigError

RANKS = {"detect": 0, "track": 1, "landmarks": 2, "keep": 2, "deepfake": 3, "deidentify": 3}
"""By the first part of a step's name; no step comes after one of a higher rank. Other steps may stand anywhere."""
WHY = {
    "detect": "what it finds would be neither followed nor covered",
    "track": "faces would be judged or covered before they are followed",
    "landmarks": "what needs its points would not have them",
    "keep": "who is to stay visible would be covered already",
}
ONLY_PLACES = frozenset({"detect.zones"})
"""Steps that find places, and no faces."""
NEEDS_TRACKS = frozenset({"keep"})


def require_order(uses: Sequence[str]) -> None:
    """Refuses steps in an order in which they cannot do what they are for.

    Raises:
        ConfigError: names the two steps, and what to do.

    >>> require_order(["detect.cascade", "track", "keep", "deidentify.cover"])
    """
    if not any(_kind(use) == "detect" for use in uses):
        raise ConfigError("steps: expected a detect operator, got none; nothing would be found, and so nothing hidden")
    before: list[str] = []
    for use in uses:
        kind = _kind(use)
        for earlier in before if kind in RANKS else ():
            if RANKS.get(_kind(earlier), 0) > RANKS[kind]:
                raise ConfigError(f"steps: {use} comes after {earlier}: {WHY[kind]}; put it before")
        if use in NEEDS_TRACKS and "track" not in before:
            raise ConfigError(f"steps: {use} needs a track step before it: faces without a track are never kept")
        if use == "track" and use in before:
            raise ConfigError("steps: expected one track step, got two; faces would get other numbers in between")
        before.append(use)


def require_covers(uses: Sequence[str]) -> None:
    """Refuses steps that cover nothing.

    Raises:
        ConfigError: with them, every picture with a face would be covered as a whole.
    """
    if not any(_kind(use) == "deidentify" for use in uses):
        raise ConfigError(
            "steps: expected a deidentify operator such as deidentify.cover, got none; no face would be covered, "
            "and every picture with one withheld"
        )


def shortcomings(uses: Sequence[str]) -> list[str]:
    """What somebody who chose these steps should know.

    >>> shortcomings(["detect.zones", "deidentify.cover"])
    ['no step looks for faces: detect.zones hides fixed places only, and every face beside them stays visible']
    """
    found = []
    detectors = [use for use in uses if _kind(use) == "detect"]
    if detectors and ONLY_PLACES.issuperset(detectors):
        words = f"{detectors[0]} hides fixed places only, and every face beside them stays visible"
        found.append(f"no step looks for faces: {words}")
    if not any(_kind(use) == "deidentify" for use in uses):
        found.append("no step covers faces: for `screen`; `run` refuses it")
    return found


def _kind(use: str) -> str:
    return use.partition(".")[0]
