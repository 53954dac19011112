"""The steps of a config: checked by name and option, and opened as operators with their engines."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from pathlib import Path

from engines import ConfigError, Engine, open_engine
from engines.memory import keep_memory
from operators import ChecksOptions, Operator, find
from operators.options import OptionSection, read_options
from pipeline.config import Config, EncodeSection, Step
from pipeline.models.catalog import file_of


def check(config: Config) -> None:
    """Looks at every name, option and file without opening an engine.

    Raises:
        ConfigError: the first thing that is wrong.
    """
    if not config.steps:
        raise ConfigError("steps: expected at least one operator, got none; nothing would be hidden")
    if not any(step.use.startswith("detect.") for step in config.steps):
        raise ConfigError("steps: expected a detect operator, got none; nothing would be found, and so nothing hidden")
    for step in config.steps:
        cls = find(step.use)
        options = _bind(step, cls)
        for model in step.engines.values():
            if not file_of(model).is_file():
                raise ConfigError(f"{step.use}: {model}: no such file; name one that is there, or a known model")
        if issubclass(cls, ChecksOptions):
            cls.check_options(**dict(options))
    _check_encoder(config.encode)


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
    """Opens all operators with their engines, in order, by their names; `open_network` opens a model file.

    From then on OpenCV keeps to one thread in this process, since handing on pieces of a face costs more than it saves;
    and memory is kept for the next frame (see `keep_memory`).

    Raises:
        ConfigError: a name or an option is wrong.
        EngineError: a model does not open.
    """
    import cv2  # here: it takes longer to import than all else that a config needs

    cv2.setNumThreads(1)
    keep_memory()
    classes = [find(step.use) for step in config.steps]
    for step, cls in zip(config.steps, classes, strict=True):  # before the first network opens, which may take long
        _bind(step, cls)
    operators: dict[str, Operator] = {}
    for step, cls in zip(config.steps, classes, strict=True):
        hints = typing.get_type_hints(cls.__init__)
        engines = {
            name: file_of(model) if hints.get(name) is Path else open_network(file_of(model))
            for name, model in step.engines.items()
        }
        name = step.use if step.use not in operators else f"{step.use}#{len(operators)}"
        operators[name] = cls(**engines, **step.options)
    return operators


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
