"""`facewarden tune`: the cheapest setting of a config that keeps what was asked for, on the user's own clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.table import Table

from engines import ConfigError
from pipeline.commands.console import console, plain
from pipeline.commands.progress import Bars
from pipeline.config import Config, load
from pipeline.live.steps import check, open_steps

if TYPE_CHECKING:
    from pipeline.live.dry_run import PacketClip, Trial
    from pipeline.tuning.goals import Score
    from pipeline.tuning.search import Tuner

ATTEMPT = "the setting that is tried"


def tune(
    config: Annotated[str, typer.Argument(help="YAML file, or the name of a packaged one.")],
    clips: Annotated[list[str], typer.Argument(help="Files, folders or globs: videos like those to come.")],
    slo: Annotated[
        list[str] | None,
        typer.Option(
            help="What must hold: recall= (by its lower bound), latency_ms=, fps=, cpu_ms=; by comma or repeated."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where the tuned YAML goes.")] = None,
    frames: Annotated[int, typer.Option(min=24, help="Frames of each clip.")] = 240,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="CSV of the faces there are (file, frame, xmin, ymin, xmax, ymax), instead of the thorough setting's."
        ),
    ] = None,
) -> None:
    """Searches resolutions, batch and threads for the cheapest setting that keeps recall and latency."""
    # Here: they import video and networks, which no other command shall wait for.
    from pipeline.tuning.goals import Slo, read_truth
    from pipeline.tuning.knobs import knobs, turned
    from pipeline.tuning.search import Tuner

    wanted, chosen = Slo.parse(slo or []), load(config)
    check(chosen)
    target = output or Path(f"{Path(config).stem}_tuned.yaml")
    if output is None and target.exists():
        raise ConfigError(f"{target}: is there already; name another file, or this one, by -o")
    live = chosen.delivery == "low_latency" or (chosen.delivery == "auto" and np.isfinite(wanted.latency_ms))
    taken = _read_clips(clips, frames, live)
    labels = None if truth is None else read_truth(truth, taken)
    longest_px = max(max(clip.head.width, clip.head.height) for clip in taken)
    with Bars() as bars:
        attempt = partial(_attempt, taken, bars)
        tuner = Tuner(
            chosen,
            knobs(chosen, longest_px=longest_px),
            attempt,
            wanted,
            wait_ms=chosen.wait_ms(live=live),
            truth=labels,
        )
        best = tuner.search()
    console.print(_table(tuner))
    if misses := best.misses(tuner.slo):
        short = ", ".join(f"{name} by {fraction:.1%}" for name, fraction in misses.items())
        raise ConfigError(f"nothing that was tried holds what was asked for; nearest is {best.words}, short of {short}")
    target.write_text(yaml_of(turned(chosen, tuner.knobs, best.setting), remarks(tuner, best, taken)))
    console.print(plain(str(target)), highlight=False, soft_wrap=True)


def _attempt(clips: Sequence[PacketClip], bars: Bars, config: Config, words: str) -> dict[str, Trial]:
    """Tries a config on every clip, with operators that are opened once."""
    from pipeline.live.dry_run import try_out

    total = sum(len(clip.packets) for clip in clips)
    done = count(1)
    bars.remove(ATTEMPT)

    def moved() -> None:
        bars.show(words, next(done), total, key=ATTEMPT)

    operators = open_steps(config)
    return {clip.name: try_out(config, operators, clip, moved=moved) for clip in clips}


def _read_clips(given: Sequence[str], frames: int, live: bool) -> list[PacketClip]:
    from pipeline.live.dry_run import read_clip
    from pipeline.live.sources import find_sources

    files = find_sources(given)
    clips = [read_clip(file, frames=frames, live=live) for file in files]
    twice = {clip.name for clip in clips if sum(other.name == clip.name for other in clips) > 1}
    if twice:
        raise ConfigError(f"{', '.join(sorted(twice))}: two clips of this name; rename one")
    return clips


def _table(tuner: Tuner) -> Table:
    table = Table("setting", "recall", "at least", "CPU-ms/frame", "latency p99 ms", "fps", "misses", title="tried")
    for score in tuner.ranked():
        if score.frames:
            found = f"{score.recall:.4f}", f"{score.low:.4f}"
            numbers = f"{score.cpu_ms:.1f}", f"{score.latency_ms:.0f}", f"{score.fps:.1f}"
            table.add_row(plain(score.words), *found, *numbers, ", ".join(score.misses(tuner.slo)) or "-")
    return table


def remarks(tuner: Tuner, best: Score, clips: Sequence[PacketClip]) -> list[str]:
    """What is worth knowing about a tuned config, as lines."""
    asked = ", ".join(f"{name} {value:.4g}" for name, value in tuner.slo.asked.items())
    lines = [
        f"{name}: recall {score.recall:.4f}, at least {score.low:.4f}, {score.cpu_ms:.1f} CPU-ms per frame, p99 "
        f"{score.latency_ms:.0f} ms with look-ahead, {score.fps:.1f} fps per worker ({score.words})"
        for name, score in (("this", best), ("before", tuner.before), ("most thorough", tuner.truest))
    ]
    return [
        f"Written by `facewarden tune` for {asked}, on {best.frames} frames with {best.faces} faces of",
        f"{', '.join(clip.name for clip in clips)}.",
        *lines,
    ]


def yaml_of(config: Config, comments: Sequence[str]) -> str:
    """The config as YAML, with a step's engines and options on a line each; what was left to defaults stays so."""
    data: dict[str, Any] = config.model_dump(mode="json", exclude_unset=True)
    lines = [f"# {comment}" for comment in comments]
    lines.append("steps:")
    for step in data.pop("steps"):
        lines.append(f"  - use: {step['use']}")
        lines += [f"    {name}: {json.dumps(step[name])}" for name in ("engines", "options") if step.get(name)]
    lines += [f"{name}: {json.dumps(value)}" for name, value in data.items()]
    return "\n".join(lines) + "\n"
