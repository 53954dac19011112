"""Operators put engines to a purpose on faces. The folder is the registry: `find("deidentify.cover")`
imports `operators/deidentify/cover/operator.py` or `operators/deidentify/cover.py`, and nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from engines import ConfigError

if TYPE_CHECKING:  # it brings OpenCV along, which the command line need not wait for
    from operators.frame import Frame, Verdict


class Operator(Protocol):
    """The same frames out as in, in the same order; never paints, returns new frames.

    A class that fulfils it is named `OPERATOR` in its module. Positional parameters of its constructor
    are engines, keyword-only ones are options: the signature is the config schema (see `operators.options`). A detector
    of something else than faces says `finds_faces = False`; others have to find a drawn one before they are used.
    """

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]: ...


@runtime_checkable
class ChecksOptions(Protocol):
    """An operator class with rules that its options' types cannot hold: between options, or about files they name.

    `check_options` takes all options by name and needs no engine, so that a config can be checked before anything
    starts. The constructor refuses the same.
    """

    @staticmethod
    def check_options(**options: Any) -> None:
        """Raises ConfigError: a rule is broken."""


@runtime_checkable
class Remembers(Protocol):
    """An operator that keeps something between frames of a stream, and can hand it over.

    `snapshot` must be cheap and deterministic data (no pickle): it is stored with every commit and read
    by whoever takes the stream over. `forget` drops it when the stream ends or moves away.
    """

    def snapshot(self, stream: str) -> bytes: ...

    def restore(self, stream: str, state: bytes) -> None: ...

    def forget(self, stream: str) -> None: ...


@runtime_checkable
class LooksAhead(Protocol):
    """An operator that may improve a frame by what came after it.

    `settle` is called once a frame, in order, before it is released: `ahead` holds the following frames of
    the stream (possibly none), each already through the operator. It keeps no state.
    """

    def settle(self, frame: Frame, ahead: Sequence[Frame]) -> Frame: ...


@runtime_checkable
class MayRest(Operator, Protocol):
    """A detector that knows, for little, what of a frame it must look at: while a live stream lags its camera it is not
    asked to look, and everything that it would have looked at counts as a face.

    Where there is one, a frame counts as examined only if it says so.
    """

    def rest(self, frame: Frame) -> Frame:
        """The frame as a call would hand it on, without a look."""


@runtime_checkable
class Concludes(Protocol):
    """An operator that claims something about tracks, and about a stream once all of it was seen."""

    def verdicts(self, stream: str) -> list[Verdict]: ...


def available() -> list[str]:
    """Names of all operators in the folder, sorted."""
    names = []
    for module in pkgutil.walk_packages(__path__, "operators."):
        name = module.name.removeprefix("operators.")
        spec = importlib.util.find_spec(module.name)
        source = Path(spec.origin).read_text() if spec is not None and spec.origin else ""
        if "\nOPERATOR = " in source:
            names.append(name.removesuffix(".operator"))
    return sorted(names)


def find(name: str) -> type[Operator]:
    """The operator class of that name.

    Raises:
        ConfigError: there is none, or a library that it needs is missing.
    """
    for module in (f"operators.{name}", f"operators.{name}.operator"):
        try:
            found = getattr(importlib.import_module(module), "OPERATOR", None)
        except ModuleNotFoundError as error:
            if error.name and module.startswith(error.name):
                continue
            raise ConfigError(f"operator {name!r} needs the package {error.name!r}; install it") from error
        if found is not None:
            return found  # type: ignore[no-any-return]
    raise ConfigError(f"no operator {name!r}; known: {', '.join(available())}")
