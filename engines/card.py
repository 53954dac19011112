"""The card of a model: the JSON next to its file, which says what it is, how it was made, and what it has to hold.

`centerface.onnx` has its card in `centerface.json`. Nothing is exported, quantised or built without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationError, model_validator

from engines import EngineError
from engines.faults import faults_of
from engines.files import sha256_of, write_whole
from engines.section import Section

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""From fine to coarse."""
Target = Literal["cpu", "tensorrt"]
"""What int8 is for."""
Size = Annotated[int, Field(ge=1)]


class Range(Section):
    """Shapes of one input that a plan is built for: the smallest, the usual one it is tuned to, and the largest."""

    least: tuple[Size, ...]
    usual: tuple[Size, ...]
    most: tuple[Size, ...]

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not len(self.least) == len(self.usual) == len(self.most):
            raise ValueError("least, usual and most: expected the same number of axes")
        if not all(a <= b <= c for a, b, c in zip(self.least, self.usual, self.most, strict=True)):
            raise ValueError("expected least <= usual <= most on every axis")
        return self


class Plan(Section):
    """How a plan is built: the range of each input, and what the builder may use while it tries."""

    profile: dict[str, Range]
    workspace_mb: Size = 1024


class Tolerance(Section):
    """How far two runtimes may differ: |a - b| <= absolute + relative * |b|."""

    absolute: Annotated[float, Field(ge=0)]
    relative: Annotated[float, Field(ge=0)]


TOLERANCES: Mapping[Precision, Tolerance] = {
    "fp32": Tolerance(absolute=1e-4, relative=1e-3),
    "fp16": Tolerance(absolute=1e-2, relative=1e-2),
    "bf16": Tolerance(absolute=1e-1, relative=1e-1),
}
"""By how much engines may differ where a card does not say."""


class Gate(Section):
    """What int8 must hold: `metric` may fall by at most `max_drop` (0.005 is half a point) below float32."""

    metric: str
    max_drop: Annotated[float, Field(ge=0)]

    def require(self, judged: Judged) -> None:
        """Refuses int8 that costs more.

        Raises:
            EngineError: with both figures.

        >>> Gate(metric="recall", max_drop=0.005).require(Judged(fp32=0.9, int8=0.89))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        engines.EngineError: int8 is refused: recall fell from 0.9000 to 0.8900; expected a drop of at most 0.005; ...
        """
        if judged.fp32 - judged.int8 > self.max_drop:
            raise EngineError(
                f"int8 is refused: {self.metric} fell from {judged.fp32:.4f} to {judged.int8:.4f}; "
                f"expected a drop of at most {self.max_drop:g}; use fp16 or fp32"
            )


class Judged(Section):
    """The metric of a gate before and after, on the same pictures."""

    fp32: float
    int8: float


class Int8Calibration(Section):
    """How int8 is made.

    Attributes:
        data, images: ranges are taken from so many pictures of that set.
        operator: what gives them to the engine, and what the gate's metric is taken of.
        gate: is judged on pictures of the set that were not used.
        judged: what came out, where ranges are shipped, so that int8 can be written without the set.
    """

    data: str
    images: Size
    operator: str
    gate: Gate
    judged: Judged | None = None


class CardMetric(Section):
    """A held-out figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Card(Section):
    """What is known of one model file.

    Attributes:
        sha256: of the file that it describes.
        source: where it comes from: a package, an address, or the command that made it.
        data, recipe, commit, seed: how it was trained, where we did.
        metrics: held-out figures by name, each with its interval.
        failures: where it is known to fail.
        precision: what it computes in.
        tolerance: what two runtimes may differ by when the coarser computes in a precision; int8 is judged by its gate.
        plan: how its plan is built, None if it never is.
        calibration: how int8 is made of it, None if it never is.
        made_from: SHA-256 of the model that this one was quantised or rounded from.
        weights: SHA-256 of the trained weights that it was exported from: networks that share it belong together.
    """

    name: str
    task: str
    licence: str
    sha256: Sha256
    source: str
    data: str = ""
    recipe: str = ""
    commit: str = ""
    seed: int | None = None
    metrics: dict[str, CardMetric | float] = Field(default_factory=dict)
    failures: list[str] = Field(default_factory=list)
    precision: Precision = "fp32"
    tolerance: dict[Precision, Tolerance] = Field(default_factory=lambda: dict(TOLERANCES))
    plan: Plan | None = None
    calibration: Int8Calibration | None = None
    made_from: Sha256 | Literal[""] = ""
    weights: Sha256 | Literal[""] = ""

    @property
    def usual_shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the inputs that the plan names, for those that have free axes."""
        return {name: span.usual for name, span in self.plan.profile.items()} if self.plan else {}


def card_file(model: Path) -> Path:
    """Where the card of a model file lies.

    >>> str(card_file(Path("models/centerface.onnx")))
    'models/centerface.json'
    """
    return model.with_suffix(".json")


def read_card(model: Path) -> Card:
    """The card next to a model file.

    Raises:
        EngineError: there is none, or it is not one.
    """
    file = card_file(model)
    try:
        return Card.model_validate_json(file.read_bytes())
    except OSError as error:
        raise EngineError(
            f"{model}: no card; expected {file} ({error.strerror}); `facewarden models pull` writes it"
        ) from error
    except ValidationError as error:
        raise EngineError(f"{file}: {faults_of(error, Card)}; `facewarden models pull` writes it again") from error


def require_card(model: Path, content: bytes) -> None:
    """Refuses bytes of a model file that are not those its card describes; without a card there is nothing to hold
    them to.

    Raises:
        EngineError: with both hashes; or the card is damaged.
    """
    if not card_file(model).is_file():
        return
    wanted, found = read_card(model).sha256, sha256_of(content)
    if found != wanted:
        raise EngineError(f"{model}: expected SHA-256 {wanted} as its card says, got {found}; fetch it again")


def write_card(model: Path, card: Card) -> None:
    """Writes the card next to its model."""
    write_whole(card_file(model), f"{card.model_dump_json(indent=1, exclude_defaults=True)}\n".encode())
