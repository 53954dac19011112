"""`facewarden train`, `export`, `evaluate`, `ablate`: offline jobs on the command line.

What does them is imported when it is asked for: whoever hides faces needs neither PyTorch nor scikit-learn.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from engines import ConfigError
from engines.progress import minutes
from pipeline.commands import tables
from pipeline.commands.console import console, plain, plain_errors
from pipeline.commands.progress import Bars

jobs_app = typer.Typer()

DataFolder = Annotated[
    Path | None, typer.Option("--data-folder", envvar="FACEWARDEN_DATA", help="Folder of the named data sets.")
]
Runs = Annotated[Path, typer.Option(help="Folder that holds a folder for each training.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
RayAddress = Annotated[str | None, typer.Option(help="A Ray cluster instead of this machine alone.")]
Json = Annotated[Path | None, typer.Option("--json", help="Where the figures go.")]
Option = Annotated[list[str] | None, typer.Option("--option", help="KEY=VALUE for the recipe; repeatable.")]
DataOption = Annotated[list[str] | None, typer.Option("--data-option", help="KEY=VALUE for the reader; repeatable.")]
Seed = Annotated[int | None, typer.Option(help="Of all chance, instead of the recipe's.")]
Draws = Annotated[int, typer.Option(help="Resamples for the intervals.")]


@jobs_app.command()
def train(
    system: Annotated[str, typer.Argument(help="acmf, acmf-paper, gazeforensics, ...")],
    config: Annotated[str | None, typer.Option(help="Another YAML file than the packaged one.")] = None,
    data: Annotated[str | None, typer.Option(help="Another set: a name, or a folder.")] = None,
    data_option: DataOption = None,
    per_clip: Annotated[int | None, typer.Option(min=0, help="Frames of each clip, instead of the config's.")] = None,
    option: Option = None,
    seed: Seed = None,
    runs: Runs = Path("runs"),
    device: DeviceOption = "auto",
    data_folder: DataFolder = None,
    ray_address: RayAddress = None,
) -> None:
    """Trains a system: landmarks, forging, training, calibration, export. Goes on where it was interrupted."""
    with plain_errors():
        ray_jobs, training = _module("ray_jobs"), _module("train")
        recipe = _module("recipe").recipe_for(
            config or system,
            data=data, data_options=_pairs(data_option), options=_pairs(option), per_clip=per_clip, seed=seed,
        )  # fmt: skip
        workspace = ray_jobs.Workspace(data_folder, runs, device)
        with Bars() as bars:
            written = training.train(recipe, workspace, ray_address, bars.show)
        tables.show_minutes(minutes(workspace.run_of(recipe)))
        _show(written)


@jobs_app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    to: Annotated[Path | None, typer.Option(help="Folder of the networks; the run's own by default.")] = None,
    figures: Annotated[
        list[Path] | None, typer.Option(help="Reports of evaluate, put on the cards; repeatable.")
    ] = None,
) -> None:
    """Writes a run's networks as ONNX with their cards, after comparing them with PyTorch."""
    with plain_errors():
        _show(_module("export").export_with_reports(run, to, figures or []))


@jobs_app.command()
def evaluate(
    systems: Annotated[list[str], typer.Argument(help="acmf, gazeforensics; several are fused besides.")],
    data: Annotated[str, typer.Option(help="A set's name, or a folder.")],
    model: Annotated[list[Path] | None, typer.Option(help="Folder of a run, one for each system.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    per_clip: Annotated[int, typer.Option(min=0, help="Frames of each clip, spread over it; 0 for all.")] = 32,
    most: Annotated[int, typer.Option(min=0, help="Clips of each kind at most; 0 for all.")] = 0,
    data_option: DataOption = None,
    shift: Annotated[float, typer.Option(min=0, max=1, help="How strongly to degrade all crops first.")] = 0.0,
    tta: Annotated[bool, typer.Option("--tta", help="Besides, adapt to each video before scoring it.")] = False,
    draws: Draws = 1000,
    data_folder: DataFolder = None,
    ray_address: RayAddress = None,
    json: Json = None,
) -> None:
    """Scores a data set, and has Meso4 score the same crops. A set of genuine faces is given forgeries of every kind.

    With --tta ACMF is also adapted to each video, without labels, from crops of its own training, as the paper's second
    stage does. That is transductive: it has seen what it scores. So it has a row and a figure of its own,
    auc_video_tta, which is not to be compared with the AUC of a fixed network.
    """
    with plain_errors():
        wanted = {"set": data, "options": _pairs(data_option), "splits": [split], "per_clip": per_clip, "most": most}
        workspace = _module("ray_jobs").Workspace(data_folder, Path())
        with Bars() as bars:
            found = _module("evaluate").evaluate(
                systems, model or [], wanted, workspace,
                shift=shift, tta=tta, draws=draws, ray_address=ray_address, on_progress=bars.show,
            )  # fmt: skip
        summaries = _module("summaries")
        tables.show_scores(found.rows, found.kinds, found.spoken, found.title)
        _report(json, found.figures, summaries.plain([*found.rows, *found.kinds]), 0)


@jobs_app.command()
def ablate(
    system: Annotated[str, typer.Argument(help="acmf, gazeforensics, or a YAML file.")],
    data: Annotated[list[str] | None, typer.Option(help="Sets to evaluate on besides; repeatable.")] = None,
    leave_kinds_out: Annotated[bool, typer.Option(help="Leave each kind of forgery out instead.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="These trainings alone; repeatable.")] = None,
    option: Option = None,
    seed: Seed = None,
    draws: Draws = 1000,
    runs: Runs = Path("runs"),
    device: DeviceOption = "auto",
    data_folder: DataFolder = None,
    ray_address: RayAddress = None,
    json: Json = None,
) -> None:
    """Trains a system in several ways, same data and seed, and prints one table with intervals."""
    with plain_errors():
        recipe = _module("recipe").recipe_for(system, options=_pairs(option), seed=seed)
        workspace = _module("ray_jobs").Workspace(data_folder, runs, device)
        with Bars() as bars:
            rows = _module("ablate").ablate(
                recipe, data or [], workspace,
                leave_kinds_out=leave_kinds_out, only=only or [], draws=draws, ray_address=ray_address,
                on_progress=bars.show,
            )  # fmt: skip
        summaries = _module("summaries")
        tables.show_rows(rows, f"{recipe.use}: {'one kind left out' if leave_kinds_out else 'ablations'}")
        _report(json, summaries.row_figures(rows), summaries.plain(rows), recipe.seed)


def _module(name: str) -> Any:
    """A module of `pipeline.training`.

    Raises:
        ConfigError: a library that it needs is missing.
    """
    try:
        return importlib.import_module(f"pipeline.training.{name}")
    except ModuleNotFoundError as error:
        raise ConfigError(f"this needs the package {error.name!r}; pip install 'facewarden[train]'") from error


def _pairs(given: list[str] | None) -> dict[str, Any]:
    """Values are read as YAML reads them: numbers, true, lists."""
    pairs = {}
    for item in given or []:
        key, separator, value = item.partition("=")
        if not separator:
            raise ConfigError(f"{item}: expected KEY=VALUE")
        try:
            pairs[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"{item}: expected a YAML value after = ({error})") from error
    return pairs


def _show(files: list[Path]) -> None:
    for file in files:
        console.print(plain(str(file)), highlight=False, soft_wrap=True)


def _report(path: Path | None, figures: dict[str, float], rows: list[Any], seed: int) -> None:
    from pipeline.provenance import write_report

    write_report(path, figures, rows, seed, code=("operators/deepfake", "operators/metrics.py", "pipeline/training"))
