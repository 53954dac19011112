"""`facewarden verify`: what any tool made of a video, judged by the original: a table, a page and a signed report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from engines import ConfigError
from engines.files import write_whole
from pipeline.commands.console import console, say_what_is_missing
from pipeline.commands.progress import Bars
from pipeline.jail.protocol import readable

if TYPE_CHECKING:
    from pipeline.judging.report import JudgedTrack, JudgingReport

LEAKS, CANNOT = 1, 2
MOST_ROWS = 40
WORDS = {"covered": "covered", "reversible": "can be got back", "clear": "in clear"}


def verify(
    original: Annotated[Path, typer.Argument(help="The video before it was masked.")],
    masked: Annotated[Path | None, typer.Argument(help="What a tool made of it; not with --check.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write the report for programs.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the page for people.")] = None,
    sign: Annotated[
        Path | None, typer.Option("--sign", help="Key file, at least 16 bytes: signs the JSON report by HMAC-SHA256.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="ORIGINAL is a JSON report: is it as whoever has the key signed it?")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace reports that are there.")] = False,
) -> None:
    """Judges what a tool made of a video: is every face hidden in every frame, and can none be got back?

    The detectors are others than the one that masks, and any tool's output is judged alike. Faces are followed through
    the original, then compared with what the masked video shows in their place. Reports hold no pixel of the original.

    \b
    Exit codes:
    0    all faces that were found are covered, or none was found; with --check: the signature is right
    1    a face is in clear, or can be got back; with --check: the signature is wrong
    2    this cannot be judged; what is missing or does not fit is said
    130  interrupted
    """
    # Here: they import video and networks, which no other command shall wait for.
    from pipeline.judging.signature import read_key, signed

    key = read_key(sign) if sign is not None else None
    if check:
        _check_signature(original, key)
        return
    if masked is None:
        raise ConfigError("MASKED: expected the masked video after the original, got none")
    outputs = [path for path in (json, html) if path is not None]
    if key is not None and json is None:
        raise ConfigError("--sign: signs the JSON report; name it by --json")
    _refuse_outputs(outputs, (original, masked, sign), overwrite=overwrite)

    say_what_is_missing()
    from pipeline.judging.document import judge
    from pipeline.judging.page import judging_page

    try:
        with Bars() as bars:
            report, judging = judge(
                original, masked, moved=lambda what, done, expected: bars.show(what, done, max(done, expected) or None)
            )
    except KeyboardInterrupt:
        sys.exit(130)
    if key is not None:
        report = signed(report, key)
    if html is not None:
        _write(html, judging_page(report, judging).encode())
    if json is not None:
        _write(json, report.to_json())
    _print(report)
    raise typer.Exit({"leaks": LEAKS, "undecided": CANNOT}.get(report.outcome, 0))


def _check_signature(path: Path, key: bytes | None) -> None:
    """Says whether a report is as it was signed, and ends with it.

    Raises:
        ConfigError: no key, or no report.
    """
    from pipeline.judging.report import JudgingReport
    from pipeline.judging.signature import is_signed_by

    if key is None:
        raise ConfigError("--check: expected the key by --sign KEYFILE")
    try:
        report = JudgingReport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a report that --json wrote") from error
    except ValidationError as error:
        raise ConfigError(f"{path}: expected a report that --json wrote") from error
    right = is_signed_by(report, key)
    console.print("the signature is right" if right else "the signature is wrong, or there is none")
    raise typer.Exit(0 if right else LEAKS)


def _refuse_outputs(outputs: list[Path], inputs: tuple[Path | None, ...], *, overwrite: bool) -> None:
    """Nothing that exists is replaced unasked, and an input never.

    Raises:
        ConfigError: it would be, or a folder is missing.
    """
    given = {path.resolve() for path in inputs if path is not None}
    for path in outputs:
        if path.resolve() in given:
            raise ConfigError(f"{path}: is what is judged, and is never replaced; name another file")
        if path.exists() and not (overwrite and path.is_file()):
            raise ConfigError(f"{path}: is there already; name another file, or pass --overwrite")
        if not path.parent.is_dir():
            raise ConfigError(f"{path.parent}: no such folder; make it first")
    if len({path.resolve() for path in outputs}) < len(outputs):
        raise ConfigError(f"{outputs[0]}: expected two files for --json and --html, got one")


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error


def _print(report: JudgingReport) -> None:
    table = Table()
    for name in ("face", "verdict", "from s", "to s", "frames", "in clear", "got back", "withheld", "px", "worst"):
        table.add_column(name, justify="left" if name in ("verdict", "worst") else "right", overflow="fold")
    for track in report.tracks[:MOST_ROWS]:
        word = WORDS[track.verdict] + ("" if track.sure else " (perhaps no face)")
        counts = (track.frames, track.clear, track.reversible, track.withheld, track.face_px)
        cells = (str(track.track), word, f"{track.from_s:.2f}", f"{track.to_s:.2f}", *map(str, counts), _worst(track))
        table.add_row(*cells, style="red" if track.sure and track.verdict != "covered" else None)
    console.print(table)
    if len(report.tracks) > MOST_ROWS:
        console.print(f"{len(report.tracks) - MOST_ROWS} more are in the reports")
    pairs = report.pairs
    console.print(f"frames: {pairs.shown} shown, {pairs.withheld} withheld, {pairs.repeated} repeated")
    for file in (report.original, report.masked):
        if file.reason or file.lost:
            said = file.reason or f"{file.lost} frames could not be decoded"
            console.print(escape(readable(f"{file.name}: {said}")), highlight=False, soft_wrap=True)
    style = {"leaks": "bold red", "covered": "bold green"}.get(report.outcome, "bold")
    console.print(report.words, style=style)


def _worst(track: JudgedTrack) -> str:
    """When, and how badly, a face is hidden worst."""
    if not track.spans:
        together = [each.frames for each in track.stacked if each.reversible]
        return f"{min(together)} frames laid over one another" if together else ""
    span = max(track.spans, key=lambda each: (each.exposure == "clear", each.frames))
    more = f", {len(track.spans) - 1} more" if len(track.spans) > 1 else ""
    return f"{span.from_s:.2f} to {span.to_s:.2f} s{more}"
