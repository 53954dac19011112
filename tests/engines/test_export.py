"""What is exported computes what PyTorch does, at any batch, and has its card; else nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="exporting needs facewarden[train]")

from engines import EngineError, open_engine  # noqa: E402
from engines.card import Card, Tolerance, read_card  # noqa: E402
from engines.export import Network, export  # noqa: E402

CARD = Card(name="made", task="none", licence="Apache-2.0", sha256="0" * 64, source="a test")


class Made(torch.nn.Module):  # type: ignore[misc, name-defined]
    """A convolution with batch statistics, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())

    def forward(self, face: Any) -> dict[str, Any]:
        logits = self.layers(face).mean((2, 3))
        return {"logits": logits, "fake_prob": logits.softmax(1)[:, :1]}


class Drawn(Made):
    """Gives another answer each time."""

    def forward(self, face: Any) -> dict[str, Any]:
        made = super().forward(face)
        return {**made, "logits": made["logits"] + torch.rand_like(made["logits"])}


def example() -> dict[str, Any]:
    return {"face": torch.rand((2, 3, 16, 16), generator=torch.Generator().manual_seed(0))}


def test_any_batch_gives_what_pytorch_does(tmp_path: Path) -> None:
    module = Made().eval()

    export(Network(module, example()), tmp_path / "made.onnx", CARD)

    engine = open_engine(tmp_path / "made.onnx")
    assert list(engine.outputs) == ["logits", "fake_prob"]
    for rows in (1, 5):
        face = np.random.default_rng(rows).random((rows, 3, 16, 16), np.float32)
        with torch.inference_mode():
            wanted = module(torch.from_numpy(face))
        for name, array in engine(face=face).items():
            np.testing.assert_allclose(array, wanted[name], atol=1e-5)


def test_the_card_lies_beside_it(tmp_path: Path) -> None:
    export(Network(Made(), example(), usual=8, most=32), tmp_path / "made.onnx", CARD)

    card = read_card(tmp_path / "made.onnx")
    assert card.sha256 != CARD.sha256
    assert card.plan is not None and card.plan.profile["face"].most == (32, 3, 16, 16)


def test_no_path_of_the_machine_is_in_it(tmp_path: Path) -> None:
    export(Network(Made(), example()), tmp_path / "made.onnx", CARD)

    content = (tmp_path / "made.onnx").read_bytes()
    assert Path(__file__).name.encode() not in content
    assert b"site-packages" not in content


def test_what_differs_is_refused(tmp_path: Path) -> None:
    strict = CARD.model_copy(update={"tolerance": {"fp32": Tolerance(absolute=1e-6, relative=0)}})

    with pytest.raises(EngineError, match="logits by"):
        export(Network(Drawn(), example()), tmp_path / "made.onnx", strict)

    assert not list(tmp_path.iterdir())


def test_outputs_without_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="expected a dict of outputs"):
        export(Network(torch.nn.Identity(), {"input": torch.zeros(2, 1)}), tmp_path / "made.onnx", CARD)
