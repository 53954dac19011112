"""The configuration of a run: the only reader of pipeline YAML.

A config names operators with their engines and options; nothing computes in it. The signature of an
operator is its schema: positional parameters are engines (annotated `Engine`, a callable, or `Path`, the
model's file), keyword-only ones are options.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from engines import ConfigError
from engines.card import faults_of
from engines.section import Section

INSTALLED = Path(__file__).parents[1]
"""Where the folders of the systems lie, with the networks that come with them."""

Delivery = Literal["auto", "transactional", "low_latency"]
OnFailure = Literal["auto", "cover", "withhold"]

LOOKAHEAD_MS, LIVE_LOOKAHEAD_MS = 750.0, 250.0
"""How long frames of files and of cameras wait, where the config says nothing."""


class Step(Section):
    """One operator, its engines (parameter -> model name or file) and its options."""

    use: str
    engines: dict[str, str] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)


class EncodeSection(Section):
    """How masked video is encoded.

    Attributes:
        encoder: `auto` is a hardware encoder where one is there and does what is needed, and x264 elsewhere.
        preset, options: of x264; `options` go to it as they are.
    """

    encoder: str = "libx264"
    preset: str = "veryfast"
    crf: int = Field(default=23, ge=0, le=51)
    options: dict[str, str] = Field(default_factory=dict)


class EnginesSection(Section):
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


class JailSection(Section):
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
        lookahead_mb: what waiting pictures of one stream may take at most.
        backlog: how many packets ingest may be ahead of the workers.
    """

    steps: list[Step]
    engines: EnginesSection = EnginesSection()
    encode: EncodeSection = EncodeSection()
    jail: JailSection = JailSection()
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


def config_folder() -> Path:
    """The folder with `models.yaml` and `pipelines/`: of the checkout, or of the installed distribution.

    Raises:
        ConfigError: neither is there.
    """
    folders = (INSTALLED / "configs", Path(sysconfig.get_path("data")) / "share/facewarden/configs")
    for folder in folders:
        if (folder / "models.yaml").is_file():
            return folder
    raise ConfigError(f"no models.yaml in {' or '.join(map(str, folders))}; install facewarden again")
