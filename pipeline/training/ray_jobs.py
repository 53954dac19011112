"""Offline Ray jobs: trainings, and the work before them. `ray job submit` runs them as any command.

What falls into pieces (landmarks, forging) is spread over Ray's workers; a training is one task, with a GPU where there
is one. Whatever was made is kept, so a job that was interrupted goes on where it was. Workers on other machines need
the same folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import ray
from pydantic import ValidationError
from ray.exceptions import RayError, RayTaskError

from engines import ConfigError, FacewardenError, StreamError
from engines.files import write_whole
from engines.progress import OnProgress, timed
from operators.cropset import open_set
from operators.datasets import find_set
from pipeline.live.ray_session import start_ray, stop_ray
from pipeline.models.catalog import models_of as models_of_steps
from pipeline.models.fetch import pull
from pipeline.training.crop_sets import finders, forged, prepared
from pipeline.training.recipe import Data, Forgeries, Recipe, load_module, models_of, options_of

TICK_S = 0.5
DEVICES = re.compile(r"auto|cpu|cuda(:\d+)?")
RECIPE = "recipe.json"
WAITING = 2
"""So many pieces of work wait for each core."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a job finds and leaves things.

    Attributes:
        data: the folder of local data sets, if there is one.
        runs: the folder of runs.
        device: `auto`, `cpu` or `cuda`.
        cache: of crops; None is the user's.
    """

    data: Path | None
    runs: Path
    device: str = "auto"
    cache: Path | None = None

    def run_of(self, recipe: Recipe) -> Path:
        """The folder of a recipe's run."""
        return self.runs / recipe.name


class Cluster:
    """Ray on this machine, or the cluster at an address; `auto` is that of the Ray job that this is. A context manager.

    It is started when work is first given to it: what lies in the cache needs none.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address, self._started = address, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._started:
            stop_ray()

    def resources(self) -> dict[str, float]:
        """What there is, started if it was not: `CPU`, `GPU`, ...

        Raises:
            ConfigError: it cannot be started or reached.
        """
        if not self._started:
            try:
                start_ray(self._address, for_jobs=True)
            except StreamError as error:
                raise ConfigError(str(error)) from error
            self._started = True
        return dict(ray.cluster_resources())  # type: ignore[no-untyped-call]

    def spread(self, work: Callable[[T], R], pieces: Iterable[T]) -> Iterator[R]:
        """Does pieces of work on the workers, and gives what came of them in order."""

        def piece_of(piece: T) -> R:
            return work(piece)

        limit = WAITING * max(1, int(self.resources().get("CPU", 1)))
        remote = ray.remote(piece_of)
        waiting: list[Any] = []
        for piece in pieces:
            waiting.append(remote.remote(piece))
            if len(waiting) >= limit:
                yield _result(waiting.pop(0))
        while waiting:
            yield _result(waiting.pop(0))


def make_crops(
    data: Data,
    forgeries: Forgeries | None,
    workspace: Workspace,
    cluster: Cluster,
    notes: Path | None,
    on_progress: OnProgress,
) -> Path:
    """The folder of the crops of a set; `notes` is the folder in which the minutes are written down.

    Raises:
        ConfigError: there is no such set, or nothing in it.
        ModelError: a model that it takes cannot be fetched.
    """
    found = find_set(data.set, workspace.data, **data.options)
    fetch(models_of_steps(finders(found.clips)), on_progress)
    with timed(notes, "landmarks") if notes else nullcontext():
        folder = prepared(data, found, cache=workspace.cache, spread=cluster.spread, on_progress=on_progress)
    if forgeries is None:
        return folder
    with timed(notes, "forging") if notes else nullcontext():
        return forged(folder, forgeries, spread=cluster.spread, on_progress=on_progress)


def train(recipe: Recipe, folder: Path, workspace: Workspace, cluster: Cluster, on_progress: OnProgress) -> None:
    """Trains in one Ray task; leaves `weights.pt` and the recipe in the folder. What is done already is not repeated.

    Raises:
        ConfigError: the recipe or its data cannot be used, or the folder holds a run of another recipe.
        ModelError: a model that it begins from cannot be fetched.
    """
    from engines.training import WEIGHTS

    if not DEVICES.fullmatch(workspace.device):
        raise ConfigError(f"--device {workspace.device}: expected auto, cpu, cuda or cuda:NUMBER")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / RECIPE).exists():
        if not holds(folder, recipe):
            raise ConfigError(
                f"{folder}: holds a run of another recipe; train into another folder (--runs), or delete this one"
            )
        if (folder / WEIGHTS).exists():
            return
    fetch(models_of(recipe), on_progress)
    data = make_crops(recipe.data, recipe.forgeries, workspace, cluster, folder, on_progress)
    write_whole(folder / RECIPE, recipe.model_dump_json(indent=1).encode())
    gpus = int(workspace.device != "cpu" and cluster.resources().get("GPU", 0) >= 1)
    board = ray.remote(Board).options(num_cpus=0).remote()
    task = ray.remote(_train).options(num_gpus=gpus, max_retries=2)
    call = task.remote(recipe, data.resolve(), folder.resolve(), workspace.device, board)
    while not ray.wait([call], timeout=TICK_S)[0]:
        _tell(board, on_progress)
    _result(call)
    _tell(board, on_progress)


def holds(folder: Path, recipe: Recipe) -> bool:
    """Whether the folder is that of a run of this very recipe."""
    try:
        return Recipe.model_validate_json((folder / RECIPE).read_bytes()) == recipe
    except (OSError, ValidationError):
        return False


def fetch(names: Sequence[str], on_progress: OnProgress) -> None:
    """Fetches those of the models that are not in the cache, or damaged there: a job needs no command before it.

    Raises:
        ConfigError: no model of that name is known.
        ModelError: no source gave it.
    """
    for done, name in enumerate(names):
        on_progress("models", done, len(names), {})
        pull([name])
    if names:
        on_progress("models", len(names), len(names), {})


def _train(recipe: Recipe, data: Path, folder: Path, device: str, board: Any) -> None:
    from engines.training import TrainingRun

    def on_progress(what: str, done: int, total: int, figures: Any) -> None:
        board.write.remote(what, done, total, dict(figures))

    crops = open_set(data)
    if recipe.without:
        crops = crops.where(~np.isin(crops.kinds, recipe.without))
    run = TrainingRun(folder, seed=recipe.seed, device=device, threads=os.cpu_count() or 1, on_progress=on_progress)
    load_module(recipe.use, "train").train(run, data=crops, **options_of(recipe))


class Board:
    """Where a task writes how far it is; the command line reads it. A Ray actor."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[int, int, dict[str, float]]] = {}

    def write(self, what: str, done: int, total: int, figures: dict[str, float]) -> None:
        self._said[what] = (done, total, figures)

    def read(self) -> dict[str, tuple[int, int, dict[str, float]]]:
        return self._said


def _tell(board: Any, on_progress: OnProgress) -> None:
    for what, (done, total, figures) in ray.get(board.read.remote()).items():
        on_progress(what, done, total, figures)


def _result(call: Any) -> Any:
    """What a task gave; its own errors as they were raised there."""
    try:
        return ray.get(call)
    except RayTaskError as error:
        if isinstance(error.cause, FacewardenError):
            raise error.cause from None
        raise
    except RayError as error:
        raise ConfigError(f"a task was lost ({error}); the same command goes on from its last checkpoint") from error
