"""The configuration of a run: the only reader of pipeline YAML.

A config names operators with their engines and options; nothing computes in it. The signature of an
operator is its schema: positional parameters are engines (annotated `Engine`, a callable, or `Path`, the
model's file), keyword-only ones are options.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engines import ConfigError, Engine, open_engine
from engines.card import faults_of
from engines.memory import keep_memory
from operators import Operator, find
from pipeline.models import config_folder, file_of, is_file

Delivery = Literal["auto", "transactional", "low_latency"]
OnFailure = Literal["auto", "cover", "withhold"]

LOOKAHEAD_MS, LIVE_LOOKAHEAD_MS = 750.0, 250.0
"""How long frames of files and of cameras wait, where the config says nothing."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(Section):
    """One operator, its engines (parameter -> model name or file) and its options."""

    use: str
    engines: dict[str, str] = {}
    options: dict[str, Any] = {}


class Encode(Section):
    """How masked video is encoded.

    Attributes:
        encoder: `auto` is a hardware encoder where one is there and does what is needed, and x264 elsewhere.
        preset, options: of x264; `options` go to it as they are.
    """

    encoder: str = "libx264"
    preset: str = "veryfast"
    crf: int = Field(default=23, ge=0, le=51)
    options: dict[str, str] = {}


class Engines(Section):
    """Where networks run.

    Attributes:
        device: `cpu` is the worker that needs them. `cuda` is the GPUs, each with an actor that runs what all workers
            ask of it in batches. `auto` is `cuda` where there is a GPU, for those networks that it can run.
        max_batch: rows of a batch.
        max_wait_ms: how long a request waits for others.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    max_batch: int = Field(default=8, ge=1)
    max_wait_ms: float = Field(default=2, ge=0)


class Jail(Section):
    """What a demuxing or decoding child process may use."""

    memory_mb: int = Field(default=4096, ge=256)
    timeout_s: float = Field(default=20, gt=0)
    max_pixels: int = Field(default=8192 * 4352, gt=0)


class Config(Section):
    """A whole run.

    Attributes:
        delivery: `auto` is transactional for files and low_latency for live sources.
        on_failure: what happens to a frame that could not be examined; `auto` covers it whole in files,
            so that counts and clocks stay, and withholds it live.
        lookahead_ms: how long frames wait, so that a face found now is covered in the frames before; None is
            750 for files and 250 live.
        lookahead_mb: the most that waiting pictures of one stream may take.
        backlog: how many packets ingest may be ahead of the workers.
    """

    steps: list[Step]
    engines: Engines = Engines()
    encode: Encode = Encode()
    jail: Jail = Jail()
    delivery: Delivery = "auto"
    on_failure: OnFailure = "auto"
    lookahead_ms: float | None = Field(default=None, ge=0)
    lookahead_mb: int = Field(default=128, ge=8)
    audio: Literal["copy", "drop"] = "copy"
    backlog: int = Field(default=1024, ge=64)
    workers: int = Field(default=0, ge=0)
    ingest_limit: int = Field(default=4, ge=1)

    def wait_ms(self, *, live: bool) -> float:
        """How long frames wait in the look-ahead."""
        if self.lookahead_ms is not None:
            return self.lookahead_ms
        return LIVE_LOOKAHEAD_MS if live else LOOKAHEAD_MS


def load(path: Path | str | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Reads a config file (the packaged `anonymize` by default), or a packaged one by its bare name.

    Raises:
        ConfigError: it cannot be read, or says something that cannot be meant.
    """
    if path is None:
        path = "anonymize"
    file = Path(path)
    if not file.exists() and file.suffix == "":
        file = config_folder() / "pipelines" / f"{path}.yaml"
    try:
        data = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(p.stem for p in (config_folder() / "pipelines").glob("*.yaml")))
        raise ConfigError(f"{path}: cannot be read ({error}); give a YAML file or one of: {known}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: expected a mapping with 'steps', got {type(data).__name__}")
    try:
        return Config.model_validate({**data, **(overrides or {})})
    except ValidationError as error:
        raise ConfigError(f"{file}: {faults_of(error, 'config')}") from error


def check(config: Config) -> None:
    """Looks at every name, option and model file without opening an engine.

    Raises:
        ConfigError: the first thing that is wrong.
    """
    if not config.steps:
        raise ConfigError("steps: expected at least one operator, got none; nothing would be hidden")
    if not any(step.use.startswith("detect.") for step in config.steps):
        raise ConfigError("steps: expected a detect operator, got none; nothing would be found, and so nothing hidden")
    for step in config.steps:
        cls = find(step.use)
        for model in _bind(step, cls).values():
            if not file_of(model).is_file():
                raise ConfigError(f"{step.use}: {model}: no such file; name one that is there, or a known model")
    _check_encoder(config.encode)


def _check_encoder(encode: Encode) -> None:
    from operators.frame import PIXEL_FORMATS
    from pipeline.media import Encoder
    from pipeline.wire import Head, Rational

    head = Head(time_base=Rational(num=1, den=25), rate=Rational(num=25, den=1))
    Encoder(
        head,
        PIXEL_FORMATS["yuv420p"],
        256,
        256,
        encoder="libx264" if encode.encoder == "auto" else encode.encoder,
        preset=encode.preset,
        crf=encode.crf,
        options=encode.options,
    )


def open_steps(config: Config, open_network: Callable[[Path], Engine] = open_engine) -> dict[str, Operator]:
    """Opens all operators with their engines, in order, by their names; `open_network` opens a model file.

    From then on OpenCV keeps to one thread in this process, for to hand pieces of a face on costs more than it saves;
    and memory is kept for the next frame (see `keep_memory`).

    Raises:
        ConfigError: a name or an option is wrong.
        EngineError: a model does not open.
    """
    import cv2  # here, for it takes longer than all else that a config needs

    cv2.setNumThreads(1)
    keep_memory()
    operators: dict[str, Operator] = {}
    for step in config.steps:
        cls = find(step.use)
        hints = typing.get_type_hints(cls.__init__)
        engines = {
            name: file_of(model) if hints.get(name) is Path else open_network(file_of(model))
            for name, model in _bind(step, cls).items()
        }
        name = step.use if step.use not in operators else f"{step.use}#{len(operators)}"
        operators[name] = cls(**engines, **step.options)
    return operators


def models_of(steps: Iterable[Step]) -> list[str]:
    """Names of the models that steps need, sorted; files are none."""
    return sorted({model for step in steps for model in step.engines.values() if not is_file(model)})


def _bind(step: Step, cls: type[Operator]) -> dict[str, str]:
    """Engine parameters and their models, after the names of engines and options have been checked."""
    parameters = list(inspect.signature(cls).parameters.values())
    engines = {p.name: p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    options = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
    for what, given, known in (("engine", step.engines, engines), ("option", step.options, options)):
        for name in given:
            if name not in known:
                raise ConfigError(f"{step.use}: no {what} {name!r}; known: {', '.join(known) or 'none'}")
        for name, parameter in known.items():
            if parameter.default is parameter.empty and name not in given:
                raise ConfigError(f"{step.use}: {what} {name!r} is missing")
    return dict(step.engines)
