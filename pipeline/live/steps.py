"""The steps of a config: checked by name, option and network, and opened as operators with their engines."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines import ConfigError, Engine, open_engine
from engines.memory import keep_memory
from operators import ChecksOptions, Operator, find
from operators.options import OptionSection, read_options
from pipeline.config import PROTECT, Config, EncodeSection, Step
from pipeline.live.step_order import require_order
from pipeline.models.catalog import file_of, is_file, whole_file_of

_FILES = frozenset({"photos", "image"})
"""Options that name files."""
DETECTORS = "detect."
"""What the names of operators begin with that find faces."""


def check(config: Config) -> None:
    """Looks at every name, option and file without opening an engine; what networks hold is compared with their hashes.

    Raises:
        ConfigError: the first thing that is wrong.
        EngineError: a network is not the one that its card describes.
    """
    if not config.steps:
        raise ConfigError("steps: expected at least one operator, got none; nothing would be hidden")
    for step in config.steps:
        cls = find(step.use)
        options = _bind(step, cls)
        for model in step.engines.values():
            if not file_of(model).is_file():
                raise ConfigError(f"{step.use}: {model}: no such file; name one that is there, or a known model")
            whole_file_of(model)
        if issubclass(cls, ChecksOptions):
            cls.check_options(**dict(options))
    require_order([step.use for step in config.steps])
    _check_encoder(config.encode)


def with_absolute_files(config: Config) -> Config:
    """The config with every file in it named from the root: workers are in another folder, and on other machines.

    >>> with_absolute_files(Config(steps=[Step(use="keep", options={"photos": ["/me.jpg"]})])).steps[0].options
    {'photos': ['/me.jpg']}
    """
    steps = [
        step.model_copy(
            update={
                "engines": {name: _absolute_model(model) for name, model in step.engines.items()},
                "options": {
                    name: _from_root(value) if name in _FILES else value for name, value in step.options.items()
                },
            }
        )
        for step in config.steps
    ]
    files = {name: _from_root(value) for name in ("keyring", "key_file") if (value := getattr(config.seal, name))}
    files["networks"] = str(file_of(f"{config.seal.networks}{PROTECT}").absolute()).removesuffix(PROTECT)
    return config.model_copy(update={"steps": steps, "seal": config.seal.model_copy(update=files)})


def _absolute_model(model: str) -> str:
    return str(file_of(model).absolute()) if is_file(model) else model


def _from_root(value: Any) -> Any:
    """Of a file's name, or of several."""
    if isinstance(value, str):
        return str(Path(value).absolute())
    return [_from_root(each) for each in value] if isinstance(value, list | tuple) else value


def _check_encoder(encode: EncodeSection) -> None:
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
    """Opens all operators with their engines, in order, by their names; `open_network` opens a model file. Each network
    is compared with its hash, and each detector has to find a known face, before it is handed over.

    From then on OpenCV keeps to one thread in this process, since handing on pieces of a face costs more than it saves;
    and memory is kept for the next frame (see `keep_memory`).

    Raises:
        ConfigError: a name or an option is wrong, or a network is not the one that is meant.
        EngineError: a model does not open, or a detector is blind.
    """
    import cv2  # here: it takes longer to import than all else that a config needs

    cv2.setNumThreads(1)
    keep_memory()
    classes = [find(step.use) for step in config.steps]
    for step, cls in zip(config.steps, classes, strict=True):  # before the first network opens, which may take long
        _bind(step, cls)
    operators: dict[str, Operator] = {}
    for step, cls in zip(config.steps, classes, strict=True):
        name = step.use if step.use not in operators else f"{step.use}#{len(operators)}"
        operators[name] = _open(step, cls, open_network)
    return operators


def try_detectors(config: Config) -> None:
    """Opens the detectors of a checked config, on the CPU, as a run would: each has to find a known face.

    Raises:
        ConfigError, EngineError: as `open_steps`.
    """
    from pipeline.live.self_test import give_back  # here: it needs OpenCV

    for step in config.steps:
        if step.use.startswith(DETECTORS):
            give_back(_open(step, find(step.use), open_engine))


def _open(step: Step, cls: type[Operator], open_network: Callable[[Path], Engine]) -> Operator:
    """The operator of a step with its engines; a detector of faces has found one by then."""
    hints = typing.get_type_hints(cls.__init__)
    engines: dict[str, Any] = {}
    for name, model in step.engines.items():
        file = whole_file_of(model)
        engines[name] = file if hints.get(name) is Path else open_network(file)
    operator = cls(**engines, **step.options)
    if step.use.startswith(DETECTORS):
        from pipeline.live.self_test import require_found  # here: it needs OpenCV

        needed = {name for name, each in inspect.signature(cls).parameters.items() if each.default is each.empty}
        given = {name: value for name, value in step.options.items() if name in needed}
        require_found(step.use, operator, engines, with_defaults=lambda: cls(**engines, **given))
    return operator


def _bind(step: Step, cls: type[Operator]) -> OptionSection:
    """The options of a step, after the names of its engines have been checked too."""
    parameters = inspect.signature(cls).parameters.values()
    engines = {p.name: p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD}
    for name in step.engines:
        if name not in engines:
            raise ConfigError(f"{step.use}: no engine {name!r}; known: {', '.join(engines) or 'none'}")
    for name, parameter in engines.items():
        if parameter.default is parameter.empty and name not in step.engines:
            raise ConfigError(f"{step.use}: engine {name!r} is missing")
    return read_options(cls, step.options, where=step.use)
