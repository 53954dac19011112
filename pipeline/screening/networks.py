"""The networks that a screening rests on: where they lie, their cards and hashes, and what the cards allow to say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines import ConfigError
from engines.card import Card, read_card
from engines.files import sha256_of
from operators.deepfake.scores import VerdictLimits
from pipeline.config import Config, Step
from pipeline.models.catalog import cache_folder, file_of, is_file, list_models, models_of, whole_file_of

JUDGES = "deepfake."
"""What the names of operators begin with that say whether a face is forged."""
OF_NETWORKS = ("size", "frames", "centre")
"""Options that belong to the networks that a config names, not to others that replace them."""


@dataclass(frozen=True, slots=True)
class JudgingNetwork:
    """One network of one step.

    Attributes:
        use: the operator.
        engine: its parameter.
        sha256: of the file that is run, which is the one that the card describes.
        limits: what it may say: as its card says, or as the step's own options do.
    """

    use: str
    engine: str
    file: Path
    sha256: str
    card: Card
    limits: VerdictLimits

    @property
    def identity(self) -> str:
        """What verdicts name it by."""
        return f"{self.card.name}@{self.sha256[:12]}"


@dataclass(frozen=True, slots=True)
class TrainedNetworks:
    """Networks of a training of one's own, which replace those of a system.

    Attributes:
        use: the operator.
        files: its engines.
        margin: of the crops that they were trained on.
    """

    use: str
    files: Mapping[str, str]
    margin: float


def with_files(config: Config, trained: Sequence[TrainedNetworks] = ()) -> Config:
    """The config with the files of all its networks: those that come with a system wherever they are installed.

    Args:
        trained: what replaces the networks of its system.

    Raises:
        ConfigError: a network is missing; the message says how to get it.
    """
    steps = list(config.steps)
    for each in trained:
        steps = _with_trained(steps, each)
    steps = [_with_engines(step, {name: _placed(model) for name, model in step.engines.items()}) for step in steps]
    _require(steps)
    return config.model_copy(update={"steps": steps})


def models_in(config: Config) -> list[JudgingNetwork]:
    """All networks of a config whose files are there, in its order.

    Raises:
        ConfigError: a card describes another file, or a known model is not the one that the list means.
        EngineError: there is no card.
    """
    named = set(models_of(config.steps))
    found = []
    for step in config.steps:
        for engine, model in step.engines.items():
            file = whole_file_of(model) if model in named else Path(model)
            card, sha256 = read_card(file), sha256_of(file.read_bytes())
            if card.sha256 != sha256:
                raise ConfigError(
                    f"{file}: expected SHA-256 {card.sha256} as its card says, got {sha256}; fetch both again"
                )
            limits = VerdictLimits.of(step.options.get("limits") or card.metrics)
            found.append(JudgingNetwork(step.use, engine, file, sha256, card, limits))
    return found


def _with_trained(steps: Sequence[Step], trained: TrainedNetworks) -> list[Step]:
    """The steps with a training's networks in that of its system, which comes last if there was none."""
    given = list(steps) if any(step.use == trained.use for step in steps) else [*steps, Step(use=trained.use)]
    return [
        _with_engines(step, dict(trained.files)).model_copy(update={"options": _options(step, trained.margin)})
        if step.use == trained.use
        else step
        for step in given
    ]


def _options(step: Step, margin: float) -> dict[str, Any]:
    """The step's options with other networks, cut for as these were trained; what they take, they say themselves."""
    kept = {name: value for name, value in step.options.items() if name not in OF_NETWORKS}
    return {**kept, "margin": margin}


def _with_engines(step: Step, engines: dict[str, str]) -> Step:
    return step.model_copy(update={"engines": engines})


def _placed(model: str) -> str:
    return str(file_of(model)) if is_file(model) and not Path(model).exists() else model


def _require(steps: Sequence[Step]) -> None:
    """Tells of everything that is missing at once."""
    wanted = models_of(steps)
    unpulled = [model.name for model in list_models() if model.name in wanted and not model.present]
    faults = []
    if unpulled:
        names = " ".join(unpulled)
        faults.append(f"{names}: not in {cache_folder()}; `facewarden models pull {names}` fetches what is missing")
    for step in steps:
        files = [Path(model) for model in step.engines.values() if model not in wanted]
        absent = [file for file in files if not file.is_file()]
        if absent:
            names = " ".join(file.name for file in absent)
            faults.append(f"{step.use}: {names}: not in {absent[0].parent}; {_remedy(step)}")
    if faults:
        raise ConfigError("networks are missing\n" + "\n".join(faults))


def _remedy(step: Step) -> str:
    if not step.use.startswith(JUDGES):
        return "name a file that is there"
    system = step.use.removeprefix(JUDGES)
    return (
        f"train it (`facewarden train {system}`) and name the run's folder with --model, "
        f"or leave the step out in a --config of your own"
    )
