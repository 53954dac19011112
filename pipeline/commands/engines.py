"""`facewarden engines`: build networks at other precisions, compare runtimes, list and verify what there is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from engines import ConfigError, EngineError, open_engine
from engines.card import PRECISIONS, Card, Precision, Target, Tolerance, card_file, read_card
from engines.files import sha256_of
from pipeline.commands.console import console, plain, plain_errors
from pipeline.commands.progress import Bars
from pipeline.models import catalog

if TYPE_CHECKING:
    from engines.plans import Platform

engines_app = typer.Typer(no_args_is_help=True, help="Networks at other precisions and in other runtimes.")
EXACTLY = Tolerance(absolute=0, relative=0)
FAILED = 1
"""Exit code: engines differ, or one is not as its card says."""


@engines_app.command("build")
def build_engine(
    model: Annotated[str, typer.Argument(help="A model's name, or its .onnx file.")],
    precision: Annotated[Precision, typer.Option(help="What it is to compute in.")] = "fp32",
    target: Annotated[Target, typer.Option(help="What int8 is for.")] = "cpu",
    pictures: Annotated[
        Path | None,
        typer.Option(help="For int8: folder with boxes.csv and images.tar, to calibrate with and judge on."),
    ] = None,
) -> None:
    """Writes a model at a precision, with its card; where TensorRT is installed, builds the plan of it too."""
    with plain_errors():
        source = catalog.file_of(model)
        card = read_card(source)
        made = source
        if precision != card.precision:
            with _needs_onnx(), console.status(plain(f"writing {card.name} in {precision}")):
                from pipeline.models.quantize import write_at

                made = write_at(precision, source, target=target, pictures=pictures)
            console.print(plain(str(made)), highlight=False, soft_wrap=True)
            if (calibration := read_card(made).calibration) and (judged := calibration.judged):
                console.print(f"{calibration.gate.metric}: {judged.fp32:.4f} in fp32, {judged.int8:.4f} in int8")
        platform = _platform()
        if platform is None or read_card(made).plan is None:
            console.print(
                "no plan of it: " + ("there is no TensorRT here" if platform is None else "it is for the CPU")
            )
            return
        from engines.plans import plan_of

        with Bars() as bars:
            plan = plan_of(made, platform, progress=bars.show)
        console.print(plain(str(plan)), highlight=False, soft_wrap=True)
        if platform.gpu:
            open_engine(made.with_suffix(".plan"))  # which compares it with the model


@engines_app.command("parity")
def compare_engines(
    one: Annotated[str, typer.Argument(help="A model's name, or a file: .onnx, .pt2 or .plan.")],
    other: Annotated[str, typer.Argument(help="Another runtime's file, or another precision's.")],
    inputs: Annotated[
        Path | None, typer.Option(help=".npz with an array for each input; drawn by chance if not given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of drawn inputs.")] = 0,
    trust: Annotated[bool, typer.Option(help="Open a .pt2, which may run code of whoever made it.")] = False,
) -> None:
    """Runs two engines on the same inputs; fails when they differ by more than the card of the first allows.

    Where the card sets no tolerance, as for int8, the differences are shown and nothing fails.
    """
    from engines.parity import compare, draw_inputs

    with plain_errors():
        first, second = catalog.file_of(one), catalog.file_of(other)
        cards = [read_card(file) for file in (first, second)]
        coarser = max(cards, key=lambda card: PRECISIONS.index(card.precision))
        tolerance = cards[0].tolerance.get(coarser.precision)
        a, b = (open_engine(file, trusted=trust) for file in (first, second))
        given = [_read_inputs(inputs)] if inputs else draw_inputs(a.inputs, shapes=cards[0].usual_shapes, seed=seed)
        found = compare(a, b, given, tolerance or EXACTLY)
    table = Table("output", "largest difference", "largest value", "of what is allowed", "")
    for each in found:
        verdict = "agrees" if each.agrees else "[red]differs[/red]"
        judged = (f"{each.excess:.0%}", verdict) if tolerance else ("-", "not judged")
        table.add_row(plain(each.output), f"{each.largest:.3g}", f"{each.at:.3g}", *judged)
    console.print(table)
    if tolerance is None:
        console.print(plain(_unjudged(coarser)), highlight=False, soft_wrap=True)
        return
    console.print(f"allowed: {tolerance.absolute:g} + {tolerance.relative:g} * |value|", highlight=False)
    raise typer.Exit(0 if all(each.agrees for each in found) else FAILED)


def _unjudged(card: Card) -> str:
    """That there is no tolerance, and what judged the network instead, if anything did."""
    said = f"allowed: none set for {card.precision}"
    if card.calibration is None or card.calibration.judged is None:
        return said
    gate, judged = card.calibration.gate, card.calibration.judged
    return (
        f"{said}; it was judged by its gate, {gate.metric}: {judged.fp32:.4f} in fp32, {judged.int8:.4f} in int8, "
        f"a drop of at most {gate.max_drop:g} allowed"
    )


@engines_app.command("list")
def list_engines(
    folder: Annotated[Path | None, typer.Option(help="Instead of the user's cache of models.")] = None,
) -> None:
    """Lists networks with their precision, their card, and their plans for this machine."""
    with plain_errors():
        table = Table("network", "precision", "MB", "card", "plans")
        platform = _platform()
        for file in _networks(folder):
            card = read_card(file) if card_file(file).is_file() else None
            megabytes = f"{file.stat().st_size / 1e6:.1f}"
            table.add_row(
                plain(file.name),
                card.precision if card else "?",
                megabytes,
                "yes" if card else "-",
                plain(_plans(file, platform)),
            )
    console.print(table)


@engines_app.command("verify")
def verify_engines(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names or files; all of the cache, if none is named.")
    ] = None,
) -> None:
    """Looks whether networks are what their cards say, and whether they open."""
    with plain_errors():
        files = [catalog.file_of(name) for name in names] if names else _networks(None)
    faults = {file: _fault(file) for file in files}
    for file, fault in faults.items():
        console.print(plain(f"{file.name}: {fault or 'fine'}"), highlight=False, soft_wrap=True)
    raise typer.Exit(FAILED if any(faults.values()) else 0)


def _networks(folder: Path | None) -> Sequence[Path]:
    return sorted((folder or catalog.cache_folder()).glob("*.onnx"))


@contextmanager
def _needs_onnx() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(f"this needs the package {error.name!r}; install facewarden[build]") from error


def _platform() -> Platform | None:
    """The TensorRT of this machine, with its GPU where there is one; None if it is not installed."""
    try:
        from engines.cuda import CudaDevice
        from engines.plans import Platform
        from engines.trt import library

        library()
    except (EngineError, ModuleNotFoundError):
        return None
    try:
        return Platform.of(CudaDevice())
    except EngineError:
        return Platform.of(None)


def _plans(file: Path, platform: Platform | None) -> str:
    if platform is None:
        return "no TensorRT here"
    from engines.plans import list_plans

    try:
        return ", ".join(state for _, state in list_plans(file, platform)) or "-"
    except EngineError:
        return "-"


def _fault(file: Path) -> str:
    try:
        card = read_card(file)
        found = sha256_of(file.read_bytes())
        if found != card.sha256:
            return f"expected SHA-256 {card.sha256}, got {found}; pull or build it again"
        if card.precision != "bf16":  # which TensorRT alone can run
            open_engine(file)
    except (EngineError, OSError) as error:
        return str(error)
    return ""


def _read_inputs(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file) as arrays:
            return dict(arrays)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: expected an .npz with an array for each input: {error}") from error
