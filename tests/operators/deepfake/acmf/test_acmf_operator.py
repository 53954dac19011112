from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from engines import FrameError, open_engine
from engines.card import Card, read_card, write_card
from engines.export import Network, export
from operators import crops
from operators.cropset import CropSet
from operators.deepfake.acmf import model
from operators.deepfake.acmf.operator import ForgeryScorer, abstains, score
from operators.deepfake.calibration import Curve, Temperature
from operators.deepfake.quality import HIDDEN, TOO_SMALL, UNLIKE
from operators.frame import Faces
from tests.operators.deepfake.faces import crop_set, frame_of, mesh

LIMITS = {"threshold_fake": 0.8, "threshold_real": 0.2, "auc": 0.95}


class Redness:
    """An engine whose probability is how red a crop is, and which remembers what it was given."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, **inputs: Any) -> dict[str, Any]:
        face = inputs["face"]
        self.batches.append(len(face))
        return {
            "fake_prob": face[:, 0].mean((1, 2))[:, None],
            "cam_fake": np.ones((len(face), 1, 2, 2), np.float32),
        }


def scorer(engine: Any = None, **options: Any) -> ForgeryScorer:
    return ForgeryScorer(engine or Redness(), size=32, limits=LIMITS, **options)


def test_no_faces_no_score() -> None:
    frame = frame_of()

    assert scorer()([frame]) == [frame]


def test_faces_are_scored_in_one_batch_in_their_order() -> None:
    engine = Redness()
    small, large = mesh(100), mesh(100) * 0.9 + 95
    frame = frame_of(small, large, seed=3)

    (out,) = scorer(engine)([frame])

    assert engine.batches == [2]
    red, blue = frame.bgr[..., 2].astype(float) / 255, frame.bgr[..., 0].astype(float) / 255
    boxes = (slice(0, 100), slice(95, 185))
    assert out.faces.data["forged_acmf"] == pytest.approx([red[box, box].mean() for box in boxes], abs=0.05)
    assert min(abs(red[box, box].mean() - blue[box, box].mean()) for box in boxes) > 0.09, "or the order does not count"
    assert out.faces.data["acmf_map"].shape == (2, 2, 2)
    assert "forged_acmf" not in frame.faces.data


def test_a_track_is_scored_as_its_crops_are_in_a_set() -> None:
    """What `evaluate` measures is what runs: the same crop, the same colours, the same score."""
    frame, size = frame_of(mesh(150)), 32
    cut = crops.cut(frame.bgr, crops.squares(frame.faces.data["mesh"], size), size)[..., ::-1]
    data = crop_set(1, size)
    stored = CropSet(**{**data.arrays(), "pixels": np.repeat(cut, len(data), axis=0)})

    (out,) = scorer()([frame])

    offline = score({"detector": Resized(size)}, stored)
    assert out.faces.data["forged_acmf"] == pytest.approx(offline[:1], abs=1e-6)


class Resized(Redness):
    """The same, for crops of one size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.inputs = {"face": np.empty((0, 3, size, size))}


def test_it_keeps_silent_on_small_and_hidden_faces_and_says_why() -> None:
    frame = frame_of(mesh(40), mesh(150))
    nowhere = np.full((478, 3), np.nan, np.float32)
    hidden = frame.faces.with_data(mesh=np.stack([frame.faces.data["mesh"][0], nowhere]))
    operator = scorer()

    (out,) = operator([replace(frame, faces=hidden)])

    assert np.isnan(out.faces.data["forged_acmf"]).all()
    assert [verdict.reasons[0] for verdict in operator.verdicts("s")[:2]] == [TOO_SMALL, HIDDEN]


def test_a_track_is_spoken_of_after_enough_frames() -> None:
    def sure(face: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        return {"fake_prob": np.full((len(face), 1), 0.9), "cam_fake": np.zeros((len(face), 1, 2, 2))}

    operator = scorer(sure, least=3, every=5)

    out = operator([frame_of(mesh(150), index=index) for index in range(6)])

    told = [frame.verdicts for frame in out]
    assert [len(verdicts) for verdicts in told] == [0, 0, 0, 0, 1, 0]
    assert told[4][0].subject == "s/1"
    assert told[4][0].words == "strong indication of a forgery"
    assert operator.verdicts("s")[-1].subject == "s"


def test_predicted_faces_are_not_scored() -> None:
    frame = frame_of(mesh(150))
    unseen = Faces.of(frame.faces.boxes, tracks=[1], seen=[False], data=frame.faces.data)

    (out,) = scorer()([replace(frame, faces=unseen)])

    assert np.isnan(out.faces.data["forged_acmf"]).all()


def test_what_it_remembers_can_be_handed_over() -> None:
    one, other = scorer(least=1), scorer(least=1)
    one([frame_of(mesh(150), index=index) for index in range(3)])

    other.restore("s", one.snapshot("s"))
    one.forget("s")

    assert len(other.verdicts("s")) == 2
    assert len(one.verdicts("s")) == 1


def test_without_landmarks_it_says_what_to_do() -> None:
    frame = frame_of(mesh(150))
    bare = replace(frame, faces=Faces.of(frame.faces.boxes))

    with pytest.raises(FrameError, match=r"landmarks\.mediapipe"):
        scorer()([bare])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network as ONNX, with its card; the export compares it with PyTorch."""
    net = model.Exported(model.build("xception-mini", dense=True), Curve(Temperature(0.5, 0.1)))
    file = tmp_path_factory.mktemp("acmf") / "detector.onnx"
    card = Card(name="tiny", task="forgery", licence="none", sha256="0" * 64, source="a test", metrics={"auc": 0.6})
    export(Network(net, model.example(64)), file, card)
    return file


def test_crops_are_as_the_network_takes_them(exported: Path) -> None:
    operator = ForgeryScorer(open_engine(exported), limits=LIMITS)

    (frame,) = operator([frame_of(mesh(150))])

    assert np.isfinite(frame.faces.data["forged_acmf"]).all()


def test_the_exported_network_has_the_sheet_s_tensors(exported: Path) -> None:
    engine = open_engine(exported)

    assert {name: tensor.shape for name, tensor in engine.inputs.items()} == {"face": (None, 3, 64, 64)}
    assert {name: tensor.shape for name, tensor in engine.outputs.items()} == {
        "logits": (None, 2),
        "fake_prob": (None, 1),
        "cam_fake": (None, 1, 4, 4),
    }
    assert "DFT" not in {node.op_type for node in onnx.load(exported).graph.node}
    logits = engine(face=model.example(64)["face"].numpy())
    odds = 0.5 * (logits["logits"][:, 1] - logits["logits"][:, 0]) + 0.1
    assert logits["fake_prob"][:, 0] == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-5)


def test_all_crops_of_a_set_are_scored_and_the_card_says_of_which_nothing_is_claimed(exported: Path) -> None:
    engine, data = {"detector": open_engine(exported)}, crop_set(4, 64)
    scores = score(engine, data)
    card = read_card(exported)

    def abstained(**metrics: float) -> float:
        write_card(exported, card.model_copy(update={"metrics": metrics}))
        return float(abstains(engine, data, score(engine, data)).mean())

    assert scores.shape == (len(data),)
    assert ((scores > 0) & (scores < 1)).all()
    assert abstained() == 1, "without thresholds nothing is claimed"
    assert abstained(threshold_fake=0.5, threshold_real=0.5) == 0
    assert abstained(threshold_fake=0.5, threshold_real=0.5, brightness_low=500.0, brightness_high=600.0) == 1
    write_card(exported, card)


def test_scores_do_not_depend_on_the_size_that_crops_were_cut_at() -> None:
    data = crop_set(2, 64)
    twice = CropSet(**{**data.arrays(), "pixels": data.pixels.repeat(2, 1).repeat(2, 2)})
    seen = Redness()

    assert score({"detector": seen}, twice) == pytest.approx(score({"detector": seen}, data), abs=0.01)


def test_a_track_is_scored_in_every_so_many_frames() -> None:
    engine = Redness()

    out = scorer(engine, stride=3)([frame_of(mesh(150), index=index) for index in range(7)])

    assert engine.batches == [1, 1, 1]
    assert ["forged_acmf" in frame.faces.data for frame in out] == [True, False, False, True, False, False, True]


def turned(yaw: float) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[0, 2], pose[2, 2] = np.sin(np.radians(yaw)), np.cos(np.radians(yaw))
    return pose


def test_faces_turned_away_are_not_shown_to_the_network() -> None:
    engine = Redness()
    frame = frame_of(mesh(80), mesh(80) + 90)
    posed = replace(frame, faces=frame.faces.with_data(pose=np.stack([turned(50), turned(-40)])))

    (out,) = scorer(engine)([posed])

    assert engine.batches == [1]
    assert np.isnan(out.faces.data["forged_acmf"]).tolist() == [True, False]
    assert np.isnan(out.faces.data["acmf_map"]).all(axis=(1, 2)).tolist() == [True, False]


def test_unusual_faces_have_a_map_and_no_score() -> None:
    usual = {"brightness_low": 300.0, "brightness_high": 301.0}
    operator = ForgeryScorer(Redness(), size=32, limits={**LIMITS, **usual})

    (out,) = operator([frame_of(mesh(150))])

    assert np.isnan(out.faces.data["forged_acmf"]).all() and np.isfinite(out.faces.data["acmf_map"]).all()
    assert operator.verdicts("s")[0].reasons[0] == UNLIKE


def test_an_empty_set_has_no_scores() -> None:
    data = crop_set(1)

    assert score({"detector": Redness()}, data.where(data.labels == 2)).shape == (0,)
