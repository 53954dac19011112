"""`facewarden run`: hides the faces in videos."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from engines import ConfigError, StreamError
from operators import find
from operators.options import options_model
from pipeline.commands.console import console, errors, plain, plain_errors, say_what_is_missing
from pipeline.commands.event_lines import StatusLines, note_of, print_event
from pipeline.commands.photos import mask_photos, planned_photos
from pipeline.commands.progress import Bars
from pipeline.commands.stops import Stopped, StopSignals
from pipeline.config import Config, load
from pipeline.live.events import EventKind, public_line
from pipeline.live.outputs import UnfinishedRun

STEP_FLAGS = ("style", "shape", "image", "scale", "cells", "threshold", "max_px")
"""Flags of `run` that are options of steps. They are declared like the others, and not made of the operators'
signatures: Typer wants the flags of all commands whenever the program starts, and operators bring OpenCV along. Which
steps take them, and which values, the signatures say; a test compares their types."""
FLAGGED = ("deidentify.cover", "detect.blazeface", "detect.cascade", "detect.centerface", "detect.yunet")
"""The steps that these flags are for. Options of the same name elsewhere, as `threshold` of a face mesh, mean something
else."""
STARTING = "starting"
INCOMPLETE = 1
"""Exit code: at least one source could not be read to its end, or frames were withheld."""


def run(
    sources: Annotated[
        list[str] | None, typer.Argument(help="Files, folders, globs, rtsp:// URLs, /dev/videoN.", show_default=False)
    ] = None,
    output: Annotated[str | None, typer.Option("-o", "--output", help="File, folder or rtsp:// URL.")] = None,
    config: Annotated[str | None, typer.Option(help="YAML file, or the name of a packaged one.")] = None,
    demo: Annotated[bool, typer.Option(help="Use a clip that is rendered on the spot.")] = False,
    # Options of steps: STEP_FLAGS.
    style: Annotated[str | None, typer.Option(help="blur, mosaic, solid or image.")] = None,
    shape: Annotated[str | None, typer.Option(help="ellipse or box.")] = None,
    image: Annotated[str | None, typer.Option(help="The picture of style image.")] = None,
    scale: Annotated[float | None, typer.Option(help="How far a cover reaches over the face box.")] = None,
    cells: Annotated[int | None, typer.Option(help="Cells of blur and mosaic across a face.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Lowest score of a face.")] = None,
    max_px: Annotated[int | None, typer.Option(help="Longest side of the picture that the detector sees.")] = None,
    # Of the whole run.
    keep: Annotated[list[str] | None, typer.Option(help="Photo of somebody who stays visible; repeatable.")] = None,
    audio: Annotated[str | None, typer.Option(help="copy or drop.")] = None,
    encode: Annotated[
        list[str] | None, typer.Option(help="encoder, preset, crf, or an option of the encoder, as KEY=VALUE.")
    ] = None,
    delivery: Annotated[str | None, typer.Option(help="auto, transactional or low_latency.")] = None,
    on_failure: Annotated[str | None, typer.Option(help="auto, cover or withhold.")] = None,
    workers: Annotated[int | None, typer.Option(help="Actors; 0, as by default, is one a stream or core.")] = None,
    broker: Annotated[str | None, typer.Option(help="kafka://HOST:PORT or sqlite:///FOLDER/facewarden.db.")] = None,
    broker_option: Annotated[list[str] | None, typer.Option(help="KEY=VALUE for the broker; repeatable.")] = None,
    ray_address: Annotated[str | None, typer.Option(help="A Ray cluster instead of this machine alone.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Results may replace files that have their names.")] = False,
    preview: Annotated[bool, typer.Option(help="Show the first stream's masked video in a window.")] = False,
    verdicts: Annotated[str | None, typer.Option(help="Where the reports go (JSON lines).")] = None,
    keyring: Annotated[str | None, typer.Option(help="Seal what is hidden, with this keyring.")] = None,
    key_file: Annotated[str | None, typer.Option(help="The master key: a file that only you may read.")] = None,
    key_command: Annotated[str | None, typer.Option(help="The master key: a program that prints it.")] = None,
) -> None:
    """Hides the faces in videos and photos."""
    from pipeline.live.run import Run
    from pipeline.live.sources import find_files

    with plain_errors(), tempfile.TemporaryDirectory(prefix="facewarden-demo-") as demo_folder:
        given = list(sources or [])
        if demo:
            from pipeline.commands.demo_clip import render_demo

            clip = Path(demo_folder) / "demo.mp4"
            render_demo(clip)
            given.append(str(clip))
            output = output or "."
        if not given:
            raise ConfigError("no source; give files, folders, rtsp:// URLs or devices, or --demo")
        chosen = load(config, _overrides(locals(), load(config)))
        say_what_is_missing()
        found = find_files(given)
        for line in found.left_alone:
            errors.print(plain(line), highlight=False, soft_wrap=True)
        photos = planned_photos(found, output, chosen)
        complete = True
        started = None
        if found.videos:
            started = Run(
                found.videos,
                output,
                chosen,
                broker=broker,
                broker_options=_broker_options(broker, broker_option),
                ray_address=ray_address,
                verdicts=verdicts,
                overwrite=overwrite,
                preview=preview,
                show=print_event,
            )
        if photos:
            complete = mask_photos(photos, chosen, overwrite=overwrite)
        if started is not None:
            _drive(started)
            if started.denied:
                raise StreamError("; ".join(dict.fromkeys(outcome.reason for outcome in started.outcomes)))
            complete &= _print_outcomes(started)
    raise typer.Exit(0 if complete else INCOMPLETE)


def _overrides(flags: dict[str, Any], config: Config) -> dict[str, Any]:
    """What the flags change in the config: top-level values, and options of the steps they belong to."""
    top = {name: flags[name] for name in ("audio", "delivery", "on_failure", "workers") if flags[name] is not None}
    steps = [step.model_dump() for step in config.steps]
    for name in STEP_FLAGS:
        if flags[name] is None:
            continue
        matching = [step for step in steps if _takes(step["use"], name)]
        if not matching:
            uses = " or ".join(use for use in FLAGGED if _takes(use, name))
            raise ConfigError(f"--{name.replace('_', '-')}: the config has no step {uses}")
        for step in matching:
            step["options"][name] = flags[name]
    if flags["keep"]:
        cover = next((i for i, step in enumerate(steps) if step["use"].startswith("deidentify.")), len(steps))
        engines = {"descriptor": "face_descriptor", "landmarks": "face_points"}
        steps.insert(cover, {"use": "keep", "engines": engines, "options": {"photos": flags["keep"]}})
    encode = {**config.encode.model_dump()}
    for key, value in _pairs("--encode", flags["encode"]).items():
        if key in ("encoder", "preset", "crf"):
            encode[key] = value
        else:
            encode["options"] = {**encode["options"], key: value}
    return {**top, "steps": steps, "encode": encode, "seal": _seal(flags, config)}


def _seal(flags: dict[str, Any], config: Config) -> dict[str, str]:
    """Where key and keyring are; a key that is named here stands in place of the config's."""
    seal: dict[str, str] = config.seal.model_dump()
    if flags["key_file"] or flags["key_command"]:
        seal |= {"key_file": flags["key_file"] or "", "key_command": flags["key_command"] or ""}
    return seal | ({"keyring": flags["keyring"]} if flags["keyring"] else {})


def _takes(use: str, option: str) -> bool:
    """Whether a flag of that name is meant for this step."""
    return use in FLAGGED and option in options_model(find(use)).model_fields


def _broker_options(broker: str | None, given: list[str] | None) -> dict[str, str]:
    options = _pairs("--broker-option", given)
    password = os.environ.get("FACEWARDEN_KAFKA_PASSWORD")
    if password and broker is not None and broker.startswith("kafka://"):
        options["sasl_plain_password"] = password
    return options


def _pairs(flag: str, given: list[str] | None) -> dict[str, str]:
    pairs = {}
    for number, item in enumerate(given or [], 1):
        key, separator, value = item.partition("=")
        if not separator:  # what it is may be a secret
            raise ConfigError(f"{flag}: expected KEY=VALUE, found no = in number {number}")
        pairs[key] = value
    return pairs


def _drive(started: Any) -> None:
    """Shows progress until the end. The first Ctrl-C, SIGTERM or SIGHUP ends live sources in an orderly way, the second
    leaves."""
    if started.folder.resumed:
        console.print("going on with a run that was interrupted")
    asked = False

    def ask_to_stop() -> bool:
        nonlocal asked
        if asked or not any(job.source.live for job in started.jobs):
            return False
        asked = True
        started.stop()
        return True

    try:
        with StopSignals(ask_to_stop, ctrl_c=True) as signals:
            if errors.is_terminal:
                _draw(started, signals)
            else:
                status = StatusLines(lambda line: print_event(EventKind.STATUS, line))
                for progress in started.drive():
                    signals.hold()
                    status.update(progress)
    except Stopped:
        errors.print("stopped; the same command goes on from here")
        raise
    except UnfinishedRun as error:
        errors.print(f"[red]error:[/red] {plain(str(error))}", highlight=False, soft_wrap=True)
        _print_files(started)
        raise typer.Exit(INCOMPLETE) from error


def _draw(started: Any, signals: StopSignals) -> None:
    """Bars that live as long as the run."""
    with Bars() as bars:
        bars.show(STARTING, 0, None)
        for progress in started.drive():
            signals.hold()
            if progress:
                bars.remove(STARTING)
            for item in progress:
                total = max(item.expected, item.shown) if item.expected else None
                note = note_of(item, bars.speed(item.number))
                bars.show(public_line(item.name), item.shown, total, note=note, key=item.number)


def _print_outcomes(started: Any) -> bool:
    """Prints the table of the run; true if everything came out whole."""
    table = Table(title="streams", show_lines=False)
    for name in ("stream", "packets", "shown", "not shown", "withheld", "faces", "tracks", "fps", "CPU-ms/frame"):
        table.add_column(name, justify="left" if name == "stream" else "right", no_wrap=name == "stream")
    complete = True
    for outcome in started.outcomes:
        ledger = outcome.ledger
        withheld = sum(ledger.withheld.values())
        losses = started.events.counts(outcome.job.source.stream)
        complete &= not outcome.reason and not withheld and outcome.balanced and bool(outcome.files)
        complete &= not losses and not outcome.blank
        table.add_row(
            plain(outcome.job.source.shown),
            str(ledger.packets),
            f"{ledger.shown}" + (f" ({ledger.covered_whole} covered whole)" if ledger.covered_whole else ""),
            str(ledger.discarded),
            str(withheld) + "".join(f"\n{count} {why}" for why, count in ledger.withheld.items()),
            str(ledger.faces) + (f" ({ledger.kept} kept)" if ledger.kept else ""),
            str(ledger.tracks),
            f"{ledger.shown / ledger.wall_s:.1f}" if ledger.wall_s else "-",
            f"{sum(ledger.cpu_ms.values()) / max(1, ledger.shown):.1f}",
        )
    console.print(table)
    console.print(_stages(started))
    for outcome in started.outcomes:
        name = plain(outcome.job.source.shown)
        if not outcome.balanced:
            errors.print(f"[red]{name}: the ledger does not balance; please report this[/red]")
        if outcome.blank:
            errors.print(f"[red]{name}:[/red] every frame was covered whole; nothing can be seen")
        if losses := started.events.counts(outcome.job.source.stream):
            words = ", ".join(f"{kind} {count}x" for kind, count in losses.items())
            errors.print(f"[red]{name}:[/red] {words}", highlight=False, soft_wrap=True)
        if outcome.reason:
            errors.print(f"[red]{name}:[/red] {plain(outcome.words)}", highlight=False, soft_wrap=True)
        if outcome.notes:
            errors.print(f"{name}: {plain('; '.join(outcome.notes))}", highlight=False, soft_wrap=True)
    _print_files(started)
    console.print(plain(str(started.verdicts)), highlight=False, soft_wrap=True)
    return complete


def _print_files(started: Any) -> None:
    """What is done, a line each."""
    from pipeline.live.sources import one_line

    for outcome in started.outcomes:
        for file in outcome.files:
            console.print(plain(one_line(file)), highlight=False, soft_wrap=True)


def _stages(started: Any) -> Table:
    """CPU time by stage over all streams, with the start-up apart."""
    total: dict[str, float] = {}
    for outcome in started.outcomes:
        for stage, milliseconds in outcome.ledger.cpu_ms.items():
            total[stage] = total.get(stage, 0.0) + milliseconds
    frames = max(1, sum(outcome.ledger.shown for outcome in started.outcomes))
    table = Table(title=f"CPU-ms per frame by stage (start-up {started.startup_s:.1f} s apart)")
    for stage in total:
        table.add_column(stage, justify="right")
    if total:
        table.add_row(*(f"{milliseconds / frames:.2f}" for milliseconds in total.values()))
    return table
