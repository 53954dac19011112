"""Cards: what is written is read, what is no card is refused, and a gate that is not held closes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines import EngineError
from engines.card import (
    PRECISIONS,
    TOLERANCES,
    Card,
    CardMetric,
    Gate,
    Judged,
    Plan,
    Range,
    card_file,
    read_card,
    write_card,
)

CARD = Card(
    name="net", task="forgery", licence="MIT", sha256="0" * 64, source="a test", seed=0,
    metrics={"auc": CardMetric(value=0.9, low=0.8, high=0.95), "threshold_fake": 0.7},
    plan=Plan(profile={"x": Range(least=(1, 3), usual=(4, 3), most=(8, 3))}),
)  # fmt: skip


@pytest.mark.parametrize(
    ("model", "card"), [("net.onnx", "net.json"), ("a.b/net.v2.pt2", "a.b/net.v2.json"), ("net", "net.json")]
)
def test_where_a_card_lies(model: str, card: str) -> None:
    assert card_file(Path(model)) == Path(card)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_card(tmp_path / "net.onnx", CARD)

    assert read_card(tmp_path / "net.onnx") == CARD
    written = json.loads((tmp_path / "net.json").read_text())
    assert written.keys() == {"name", "task", "licence", "sha256", "source", "seed", "metrics", "plan"}  # no defaults


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sha256": "0" * 63}, "sha256: expected a string that matches"),
        ({"precision": "fp4"}, "precision: expected fp32, fp16, bf16 or int8, got 'fp4'"),
        ({"colour": "red"}, "colour: unknown; known: name, task"),
        ({"name": None}, "name: expected a string, got None"),
        ({"plan": {"profile": {}, "workspace_mb": 0}}, "plan.workspace_mb: expected an integer of at least 1, got 0"),
        (
            {"tolerance": {"fp32": {"absolute": -1, "relative": 0}}},
            "tolerance.fp32.absolute: expected a number of at least 0, got -1",
        ),
    ],
    ids=["hash", "precision", "unknown", "nothing", "no space", "below nought"],
)
def test_a_damaged_card_says_where(change: dict[str, object], complaint: str, tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text(json.dumps({**json.loads(CARD.model_dump_json()), **change}))

    with pytest.raises(EngineError, match=complaint):
        read_card(tmp_path / "net.onnx")


@pytest.mark.parametrize("content", [None, b"", b"[]", b"\xff"], ids=["missing", "empty", "a list", "no text"])
def test_what_is_no_card(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "net.json").write_bytes(content)

    with pytest.raises(EngineError, match=r"net\.(onnx: no card|json: ).*`facewarden models pull` writes it"):
        read_card(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("least", "usual", "most", "complaint"),
    [
        ((1, 3), (2, 3), (4, 3), ""),
        ((2, 3), (2, 3), (2, 3), ""),
        ((1, 3), (5, 3), (4, 3), "least <= usual <= most"),
        ((3, 3), (2, 3), (4, 3), "least <= usual <= most"),
        ((1, 3), (2, 3), (4,), "the same number of axes"),
    ],
    ids=["in order", "one size", "the usual above", "the least above", "an axis less"],
)
def test_ranges_are_in_order(
    least: tuple[int, ...], usual: tuple[int, ...], most: tuple[int, ...], complaint: str
) -> None:
    if not complaint:
        assert Range(least=least, usual=usual, most=most).usual == usual
        return
    with pytest.raises(ValueError, match=complaint):
        Range(least=least, usual=usual, most=most)


@pytest.mark.parametrize(("int8", "refused"), [(0.95, False), (0.875, False), (0.874, True), (0.0, True)])
def test_int8_may_fall_so_far_and_no_farther(int8: float, refused: bool) -> None:
    gate, judged = Gate(metric="recall", max_drop=0.125), Judged(fp32=1.0, int8=int8)

    if not refused:
        gate.require(judged)
        return
    with pytest.raises(EngineError, match=rf"recall fell from 1\.0000 to {int8:.4f}; .* a drop of at most 0\.125"):
        gate.require(judged)


def test_shapes_that_a_plan_names() -> None:
    assert CARD.usual_shapes == {"x": (4, 3)}
    assert CARD.model_copy(update={"plan": None}).usual_shapes == {}


def test_coarser_numbers_may_differ_by_more() -> None:
    given = [precision for precision in PRECISIONS if precision in TOLERANCES]

    assert given == ["fp32", "fp16", "bf16"]
    assert sorted(given, key=lambda precision: TOLERANCES[precision].absolute) == given
