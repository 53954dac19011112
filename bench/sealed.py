"""Whether a masked video and its seals fit, frame by frame, without any key: no mask without its seal, and no seal
without its mask. What was masked, the reports of the run say.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from bench.numbered import lumas
from pipeline.live.outputs import seal_file_of
from pipeline.live.release import NOT_SEALED
from pipeline.live.sealer import WHOLE
from pipeline.sealing.container import SealEntry, SealFile, open_seals, sha256_of_file

HIDDEN = 10.0
"""Levels of luma by which a cover differs from what it hides, on average, and what a codec loses does not."""
TOLERANCE_PX = 1.0
"""Boxes in reports are floats, boxes of seals whole pixels."""


@dataclass
class SealedFrames:
    """What was found.

    Attributes:
        frames: that were looked at, with `masks` on them.
        seals: of them.
        masks_unsealed: masks that have no seal.
        seals_unmasked: seals of what is not masked.
        unreported: frames that are shown and were not reported: whoever had sent them was killed before the report, and
            the next one withheld them, as they were late by then.
        reported_otherwise: seals of what is masked and not reported so, and reports of masks that are not there: in low
            latency, whoever takes over from one who was killed reports the frames that the other had sent, as it sees
            them itself.
        faults: a sentence for each of these.
    """

    frames: int = 0
    masks: int = 0
    seals: int = 0
    masks_unsealed: int = 0
    seals_unmasked: int = 0
    unreported: int = 0
    reported_otherwise: int = 0
    faults: tuple[str, ...] = ()


def frame_lines(verdicts: Path, stream: str) -> dict[int, dict[str, Any]]:
    """The reports of a stream's frames, by index, from a run's `verdicts.jsonl`; the last where it was run twice."""
    lines = (json.loads(line) for line in verdicts.read_text().splitlines())
    return {line["index"]: line for line in lines if line["type"] == "frame" and line["stream"] == stream}


def check_sealed(video: Path, lines: Mapping[int, Mapping[str, Any]], original: Path | None = None) -> SealedFrames:
    """Compares a masked video with the file of seals beside it.

    Args:
        lines: reports of the stream's frames, by index; those of other files of the stream may be among them.
        original: its source, all of whose frames it shows, to see there what no report says.

    Raises:
        ConfigError, NotAuthentic: the file of seals is not there, or was changed.
    """
    with open_seals(seal_file_of(video)) as seals:
        frames, size = _frames_in(video)
        found = SealedFrames(frames, seals=len(seals.entries))
        faults = list(_of_file(video, seals, found))
        of_frame: dict[int, list[tuple[SealEntry, str]]] = defaultdict(list)
        for entry in seals.entries:
            of_frame[entry.frame].append((entry, seals.read(entry).style))
        shown = {index for first, count in seals.shown for index in range(first, first + count)}
        for index in sorted({*shown, *of_frame}):
            if index not in shown:
                found.seals_unmasked += len(of_frame[index])
                of_it: Iterable[str] = ["has seals, and is not shown"]
            else:
                hidden = None if original is None else partial(is_hidden, video, original, index)
                of_it = _of_frame(lines.get(index), of_frame[index], size, found, hidden)
            faults += [f"{video.name}, frame {index}: {fault}" for fault in of_it]
    found.faults = tuple(faults)
    return found


def _of_file(video: Path, seals: SealFile, found: SealedFrames) -> Iterator[str]:
    said = sum(count for _, count in seals.shown)
    if seals.end.video_sha256 != sha256_of_file(video):
        found.seals_unmasked += 1
        yield f"{seals.path.name}: belongs to another video"
    if found.frames != said:
        found.masks_unsealed += abs(found.frames - said)
        yield f"{video.name}: shows {found.frames} frames, its seals speak of {said}"


def _of_frame(
    line: Mapping[str, Any] | None,
    seals: list[tuple[SealEntry, str]],
    size: tuple[int, int],
    found: SealedFrames,
    hidden: Callable[[Sequence[float], Sequence[Sequence[float]]], bool] | None,
) -> Iterator[str]:
    if line is None or line["fate"] == "withheld":
        found.unreported += 1
        return
    whole = line["fate"] == "covered_whole"
    masks = [*line.get("zones", []), *(face["box"] for face in line["faces"] if not face.get("kept"))]
    found.masks += 1 if whole else len(masks)
    if whole:
        if not seals and not line["reason"].startswith(NOT_SEALED):
            found.masks_unsealed += 1
            yield "is covered whole, and has no seal"
        return
    for mask in masks:
        if not any(_contains(entry.box, mask, size) for entry, _ in seals):
            if hidden is not None and not hidden(mask, [entry.box for entry, _ in seals]):
                found.reported_otherwise += 1
                continue
            found.masks_unsealed += 1
            yield f"the mask at {mask} has no seal"
    for entry, style in seals:
        if style == WHOLE or not any(_meets(entry.box, mask) for mask in masks):
            if hidden is not None and hidden(_middle(entry.box), ()):
                found.reported_otherwise += 1
                continue
            found.seals_unmasked += 1
            yield f"the seal of track {entry.track} at {entry.box} has no mask"


def is_hidden(masked: Path, original: Path, index: int, box: Sequence[float], but: Sequence[Sequence[float]]) -> bool:
    """Whether what lies in a box shows nothing of the original in that frame.

    Args:
        index: of the frame in both videos.
        but: boxes in it that do not count.
    """
    one, other = (next(islice(lumas(path), index, None)).astype(float) for path in (masked, original))
    counts = np.zeros(one.shape, np.bool_)
    counts[_within(box)] = True
    for sealed in but:
        counts[_within(sealed)] = False
    return bool(counts.any() and np.abs(one - other)[counts].mean() > HIDDEN)


def _within(box: Sequence[float]) -> tuple[slice, slice]:
    x1, y1, x2, y2 = (max(0, round(side)) for side in box)
    return slice(y1, y2), slice(x1, x2)


def _middle(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Of a box, where a cover that is an ellipse hides all."""
    x1, y1, x2, y2 = box
    return (3 * x1 + x2) / 4, (3 * y1 + y2) / 4, (x1 + 3 * x2) / 4, (y1 + 3 * y2) / 4


def _contains(seal: Sequence[float], mask: Sequence[float], size: tuple[int, int]) -> bool:
    """Whether what is sealed reaches over a mask as far as that is in the picture."""
    x1, y1, x2, y2 = np.clip(mask, 0, (*size, *size)).tolist()
    if x1 >= x2 or y1 >= y2:
        return True
    low = seal[0] <= x1 + TOLERANCE_PX and seal[1] <= y1 + TOLERANCE_PX
    return bool(low and seal[2] >= x2 - TOLERANCE_PX and seal[3] >= y2 - TOLERANCE_PX)


def _meets(seal: Sequence[float], mask: Sequence[float]) -> bool:
    return seal[0] < mask[2] and mask[0] < seal[2] and seal[1] < mask[3] and mask[1] < seal[3]


def _frames_in(video: Path) -> tuple[int, tuple[int, int]]:
    """How many a decoder shows, and their width and height as they are coded."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        return sum(1 for _ in container.decode(stream)), (stream.width, stream.height)
