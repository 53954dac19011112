"""The configuration of a run: the only reader of pipeline YAML.

A config names operators with their engines and options; nothing computes in it. The signature of an
operator is its schema: positional parameters are engines (annotated `Engine`, a callable, or `Path`, the
model's file), keyword-only ones are options.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from engines import ConfigError
from engines.faults import faults_of
from engines.section import Section
from pipeline.jail.parent import JailLimits

INSTALLED = Path(__file__).parents[1]
"""Where the folders of the systems lie, with the networks that come with them."""

Delivery = Literal["auto", "transactional", "low_latency"]
OnFailure = Literal["auto", "cover", "withhold"]

CARRIER_NETWORKS = "operators/reversible/proface_s/small"
PROTECT, RECOVER = "_protect.onnx", "_recover.onnx"
"""How the files of such a pair of networks go on."""

LOOKAHEAD_MS, LIVE_LOOKAHEAD_MS = 750.0, 250.0
"""How long frames of files and of cameras wait, where the config says nothing."""


class Step(Section):
    """One operator."""

    use: str = Field(description="Its name; `facewarden operators` lists them.")
    engines: dict[str, str] = Field(
        default_factory=dict,
        description="By parameter, a model's name or a network's file; the suffix picks the runtime.",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="By name; what each operator takes is below.")


class EncodeSection(Section):
    """How masked video is encoded."""

    encoder: str = Field(
        default="libx264", description="`auto` is a hardware encoder where one does what is needed, else x264."
    )
    preset: str = Field(default="veryfast", description="Of x264.")
    crf: int = Field(default=23, ge=0, le=51, description="Constant rate factor: smaller is better and larger.")
    options: dict[str, str] = Field(default_factory=dict, description="Go to x264 as they are.")


class EnginesSection(Section):
    """Where networks run."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="`cpu` is the worker that needs them. `cuda` is the GPUs, each with an actor that runs what all "
        "workers ask of it in batches. `auto` is `cuda` where there is a GPU, for networks that it can run.",
    )
    max_batch: int = Field(default=8, ge=1, description="Rows of a batch.")
    max_wait_ms: float = Field(default=2, ge=0, description="How long a request waits for others.")


class JailSection(Section):
    """What a demuxing or decoding child process may use."""

    memory_mb: int = Field(default=4096, ge=256, description="Address space.")
    timeout_s: float = Field(default=20, gt=0, description="For one packet, and for a source that says nothing.")
    max_pixels: int = Field(default=8192 * 4352, gt=0, description="Of a picture of a video.")
    max_photo_pixels: int = Field(default=220_000_000, gt=0, description="Of a photo.")

    @property
    def limits(self) -> JailLimits:
        """As the child process is given them."""
        return JailLimits(memory_bytes=self.memory_mb << 20, timeout_s=self.timeout_s, max_pixels=self.max_pixels)

    @property
    def photo_limits(self) -> JailLimits:
        """The same for a photo, which has as much more time as it may be larger."""
        longer = max(1.0, self.max_photo_pixels / self.max_pixels)
        return JailLimits(self.memory_mb << 20, self.timeout_s * longer, self.max_photo_pixels)


class SealSection(Section):
    """What covers hide is encrypted first, for whoever has key and keyring; see reversible.md."""

    keyring: str = Field(default="", description="The keyring's file; nothing is sealed without one.")
    key_file: str = Field(default="", description="The master key's file, which only its owner may read.")
    key_command: str = Field(default="", description="Or a program that prints it, such as a secret store's.")
    tier: Literal["escrow", "proface_s"] = Field(
        default="escrow",
        description="What is sealed of a face: its samples, which come back exactly, or a PRO-Face S carrier of them.",
    )
    networks: str = Field(
        default=CARRIER_NETWORKS,
        description="Of proface_s: what the names of its two networks begin with, before `_protect.onnx` and "
        "`_recover.onnx`.",
    )
    weights_private: bool = Field(
        default=False,
        description="Of proface_s: nobody outside has these networks. It does not start with networks that give faces "
        "back without a key, unless this is declared.",
    )

    @property
    def active(self) -> bool:
        """Whether anything is sealed."""
        return bool(self.keyring)


class Config(Section):
    """A whole run."""

    steps: list[Step] = Field(description="The operators, in the order in which frames go through them.")
    engines: EnginesSection = Field(default=EnginesSection(), description="Where networks run.")
    encode: EncodeSection = Field(default=EncodeSection(), description="How masked video is encoded.")
    jail: JailSection = Field(default=JailSection(), description="Limits of child processes.")
    seal: SealSection = Field(default=SealSection(), description="Whether hidden faces can be got back, and by whom.")
    delivery: Delivery = Field(
        default="auto", description="`auto` is `transactional` for files and `low_latency` for cameras."
    )
    on_failure: OnFailure = Field(
        default="auto",
        description="What happens to a frame that could not be examined. `auto` covers it whole in files, so that "
        "counts and clocks stay, and withholds it from cameras.",
    )
    lookahead_ms: float | None = Field(
        default=None,
        ge=0,
        description="How long frames wait, so that a face found now is covered in the frames before; null is 750 for "
        "files and 250 for cameras.",
    )
    lookahead_mb: int = Field(default=128, ge=8, description="What waiting pictures of one stream may take at most.")
    audio: Literal["copy", "drop"] = Field(default="copy", description="Sound is passed on bit for bit, or left out.")
    backlog: int = Field(
        default=1024,
        ge=64,
        description="How many packets ingest may be ahead of the workers; a camera is left where it would be further.",
    )
    backlog_mb: int = Field(default=256, ge=8, description="How many megabytes of packets it may be ahead of them.")
    workers: int = Field(default=0, ge=0, description="Actors; 0 is one a stream, at most one a core.")
    ingest_limit: int = Field(default=4, ge=1, description="How many files are read at once.")

    def wait_ms(self, *, live: bool) -> float:
        """How long frames wait in the look-ahead."""
        if self.lookahead_ms is not None:
            return self.lookahead_ms
        return LIVE_LOOKAHEAD_MS if live else LOOKAHEAD_MS


def load(path: Path | str | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Reads a config file (the packaged `anonymize` by default), or a packaged one by its bare name.

    Args:
        overrides: sections and values from the command line, in place of the file's; what is wrong with them is said of
            the options of these names.

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
        raise ConfigError(f"{file}: not YAML: {_where(error)}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{file}: expected a mapping with 'steps', got {type(data).__name__}")
    try:
        return Config.model_validate({**data, **(overrides or {})})
    except ValidationError as error:
        whose, faults = str(file), faults_of(error, Config)
        section = str(next(iter(error.errors()[0]["loc"]), ""))
        if section in (overrides or {}):
            whose = f"--{section.replace('_', '-')}"
            faults = faults.removeprefix(section).lstrip(".: ")
        raise ConfigError(f"{whose}: {faults}") from error


def _where(error: yaml.YAMLError) -> str:
    """What is wrong and where, without a word of the file: the line may hold a secret."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    said = re.sub(r"'(?!<)[^']{2,}'", "something", problem or "it cannot be read")
    return said if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {said}"


def config_folder() -> Path:
    """The folder with `models.yaml` and `pipelines/`: of the installed distribution, or of the checkout.

    Raises:
        ConfigError: neither is there.
    """
    folders = (INSTALLED / "pipeline/configs", INSTALLED / "configs")
    for folder in folders:
        if (folder / "models.yaml").is_file():
            return folder
    raise ConfigError(f"no models.yaml in {' or '.join(map(str, folders))}; install facewarden again")
