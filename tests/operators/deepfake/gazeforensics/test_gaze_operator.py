from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines import ConfigError, FrameError, open_engine
from engines.card import Card, write_card
from engines.export import Network, export
from engines.runtime import Tensor
from operators import crops
from operators.cropset import CropSet
from operators.deepfake.calibration import Curve, Temperature
from operators.deepfake.gazeforensics import model
from operators.deepfake.gazeforensics.operator import (
    GazeJudge,
    Ring,
    _centre,
    _packed,
    _shape,
    _unpacked,
    abstains,
    score,
)
from operators.deepfake.quality import HIDDEN, TOO_FEW, TOO_SMALL
from operators.frame import Faces, Frame
from tests.operators.deepfake.faces import crop_set, frame_of, mesh

LIMITS = {"threshold_fake": 0.7, "threshold_real": 0.3, "auc": 0.8}
CLIP = 4


def encode(**inputs: Any) -> dict[str, NDArray[Any]]:
    """The mean colour of each frame."""
    return {"emb": inputs["face"].mean((2, 3))}


def compare(**inputs: Any) -> dict[str, NDArray[Any]]:
    """How much brighter the last frame is than the first: order counts."""
    emb_seq = inputs["emb_seq"]
    return {"fake_prob": 1 / (1 + np.exp(-(emb_seq[:, -1:, 0] - emb_seq[:, :1, 0])))}


def judge(**options: Any) -> GazeJudge:
    settings: dict[str, Any] = {"stride": 1, "fresh": 2, "least": 1, "every": 1, "limits": LIMITS, **options}
    return GazeJudge(encode, compare, size=32, frames=CLIP, **settings)


def video(n: int, *, first: int = 0) -> list[Frame]:
    return [frame_of(mesh(150), index=index, seed=index) for index in range(first, first + n)]


def scores_of(frames: list[Frame]) -> list[float]:
    return [float(frame.faces.data["forged_gazeforensics"][0]) for frame in frames]


def test_no_faces_no_score() -> None:
    frame = frame_of()

    assert judge()([frame]) == [frame]


def test_a_clip_is_scored_when_it_is_full_and_enough_frames_are_new() -> None:
    out = judge()(video(9))

    assert [not np.isnan(score) for score in scores_of(out)] == [False] * 3 + [True, False, True, False, True, False]


def cut_out(frames: list[Frame], size: int) -> NDArray[np.uint8]:
    """The faces of these frames, RGB."""
    return np.concatenate(
        [crops.cut(frame.bgr, crops.squares(frame.faces.data["mesh"], size), size)[..., ::-1] for frame in frames]
    )


def test_scores_of_the_ring_are_those_of_the_same_frames() -> None:
    """By hand: the red of each crop as ImageNet has it, and how much brighter the last of four is than the first."""
    frames = video(8)

    out = scores_of(judge()(frames))

    red = (cut_out(frames, 32)[..., 0].mean((1, 2)) / 255 - 0.485) / 0.229
    for last in (3, 5, 7):
        assert out[last] == pytest.approx(1 / (1 + np.exp(red[last - 3] - red[last])), abs=1e-4)
    assert np.ptp([out[last] for last in (3, 5, 7)]) > 0.05


def test_a_track_is_scored_as_its_crops_are_in_a_set() -> None:
    """What `evaluate` measures is what runs: the same crops, the same colours, the same score."""
    frames = video(8)
    data = replace(crop_set(2, 8).where(np.zeros(8, int)), pixels=cut_out(frames, 96), frames=np.arange(8))

    out = scores_of(GazeJudge(encode, compare, stride=1, least=1, limits=LIMITS)(frames))

    assert score({"frame": encode, "clip": compare}, data) == pytest.approx([out[7]] * 8, abs=1e-6)


def test_every_frame_is_encoded_once_and_only_those_whose_turn_it_is() -> None:
    rows: list[int] = []

    def counted(**inputs: Any) -> dict[str, NDArray[Any]]:
        rows.append(len(inputs["face"]))
        return encode(**inputs)

    operator = GazeJudge(counted, compare, size=32, frames=CLIP, stride=2, limits=LIMITS)
    operator(video(10))

    assert rows == [1] * 5


def test_too_few_frames_are_an_abstention_never_a_zero() -> None:
    operator = judge()
    operator(video(CLIP - 1))

    track, whole = operator.verdicts("s")

    assert track.probability is None
    assert track.reasons == (TOO_FEW,)
    assert whole.probability is None


def test_small_and_hidden_faces_do_not_enter() -> None:
    operator = judge()
    for frame in video(6):
        small = frame_of(mesh(50), mesh(150), index=frame.index)
        nowhere = np.full((478, 3), np.nan, np.float32)
        faces = small.faces.with_data(mesh=np.stack([small.faces.data["mesh"][0], nowhere]))
        operator([replace(small, faces=faces)])

    assert [verdict.reasons[0] for verdict in operator.verdicts("s")[:2]] == [TOO_SMALL, HIDDEN]


def test_faces_unlike_what_was_learned_do_not_enter() -> None:
    operator = judge(limits={**LIMITS, "noise_low": 1e6, "noise_high": 2e6})

    out = operator(video(6))

    assert np.isnan(scores_of(out)).all()
    assert np.isnan([frame.faces.data["eyes_agree"][0] for frame in out]).all()
    assert operator.verdicts("s")[0].probability is None


def test_a_track_goes_on_with_whoever_takes_it_over() -> None:
    whole, first, second = judge(), judge(), judge()

    expected = scores_of(whole(video(9)))
    before = scores_of(first(video(5)))
    second.restore("s", first.snapshot("s"))
    after = scores_of(second(video(4, first=5)))

    assert np.array_equal(expected, before + after, equal_nan=True)
    assert second.verdicts("s") == whole.verdicts("s")
    first.forget("s")
    assert len(first.verdicts("s")) == 1


def test_the_eyes_are_told_for_every_face() -> None:
    looking = mesh(150)
    looking[468:473, 0] += 0.1 * 24
    looking[473:478, 0] -= 0.1 * 24

    (out,) = judge()([frame_of(looking)])

    right, left = out.faces.data["gaze"][0]
    assert right[1] > 5
    assert left[1] < -5
    assert out.faces.data["vergence"][0] == pytest.approx(right[1] - left[1])
    assert np.isnan(out.faces.data["eyes_agree"][0])


def test_without_landmarks_it_says_what_to_do() -> None:
    frame = frame_of(mesh(150))

    with pytest.raises(FrameError, match=r"landmarks\.mediapipe"):
        judge()([replace(frame, faces=Faces.of(frame.faces.boxes))])


# -- the networks ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def net() -> model.GazeForensics:
    torch.manual_seed(0)
    return model.GazeForensics(model.build_trunk("resnet10"), sizes=model.SMALL).eval()


@pytest.fixture(scope="module")
def exported(net: model.GazeForensics, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both networks as ONNX with their cards; each export compares it with PyTorch."""
    folder = tmp_path_factory.mktemp("gaze")
    frame, clip = model.example(net, 32)
    networks = {
        "frame": Network(model.FrameEngine(net), frame),
        "clip": Network(model.ClipEngine(net, Curve(Temperature(0.8))), clip),
    }
    card = Card(name="tiny", task="forgery", licence="none", sha256="0" * 64, source="a test")
    for name, network in networks.items():
        export(network, folder / f"{name}.onnx", card)
    return {name: folder / f"{name}.onnx" for name in networks}


def test_clips_are_as_the_networks_take_them(exported: dict[str, Path]) -> None:
    frame, clip = (open_engine(exported[name]) for name in ("frame", "clip"))
    operator = GazeJudge(frame, clip, stride=1, fresh=2, limits=LIMITS)

    scores = scores_of(operator(video(9)))

    assert np.isnan(scores[:7]).all() and np.isfinite(scores[7])


def test_the_exported_networks_have_the_sheet_s_tensors_and_no_teacher(
    net: model.GazeForensics, exported: dict[str, Path]
) -> None:
    shapes = {
        name: {tensor: whole.shape for tensor, whole in (open_engine(file).inputs | open_engine(file).outputs).items()}
        for name, file in exported.items()
    }
    kept = sum(p.numel() for part in (net.trunk, net.gaze_fc) for p in part.parameters())

    assert shapes["frame"] == {"face": (None, 3, 32, 32), "emb": (None, 144)}
    assert shapes["clip"] == {
        "emb_seq": (None, 8, 144), "logits": (None, 2), "fake_prob": (None, 1), "attn": (None, 4, 8, 8)
    }  # fmt: skip
    assert exported["frame"].stat().st_size < 4.4 * kept, "float32 weights of one trunk, and little else"


def test_the_two_engines_give_what_the_whole_model_gives(net: model.GazeForensics, exported: dict[str, Path]) -> None:
    clips = torch.randn((2, 8, 3, 32, 32), generator=torch.Generator().manual_seed(1))
    frame, clip = (open_engine(exported[name]) for name in ("frame", "clip"))

    emb = frame(face=clips.flatten(0, 1).numpy())["emb"].reshape(2, 8, -1)
    found = clip(emb_seq=emb)
    with torch.no_grad():
        logits, _ = net(clips)

    assert np.allclose(found["logits"], logits.numpy(), atol=1e-4)
    odds = 0.8 * (logits[:, model.FAKE] - logits[:, model.REAL])
    assert np.allclose(found["fake_prob"][:, 0], torch.sigmoid(odds).numpy(), atol=1e-4)


def test_a_set_is_scored_by_clip_and_stills_are_not(exported: dict[str, Path]) -> None:
    stills = crop_set(12, 32)
    clips = np.array(["video"] * 20 + ["still"] + ["short"] * 3 + ["other"] * 24)
    data = CropSet(**{**stills.arrays(), "clips": clips, "frames": np.arange(48)})

    engines = {name: open_engine(file) for name, file in exported.items()}
    scores = score(engines, data)

    assert np.isfinite(scores[:20]).all()
    assert len(set(scores[:20])) == 1
    assert np.isnan(scores[20:24]).all()
    assert np.isfinite(scores[24:]).all()
    assert abstains(engines, data, score(engines, data)).all(), "without thresholds nothing is claimed"


def test_a_ring_keeps_the_last_ones_and_counts_what_is_new() -> None:
    ring = Ring()
    for number in range(5):
        ring.keep(np.full(2, number, np.float32), np.full((2, 2), -number, np.float32), 3)

    assert [int(embedding[0]) for embedding in ring.embeddings] == [2, 3, 4]
    assert [int(gaze[0, 0]) for gaze in ring.gaze] == [-2, -3, -4] and ring.new == 5


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3), st.integers(0, 9), st.integers(0, 9))
def test_a_ring_is_handed_over_to_the_last_bit(numbers: list[float], new: int, seen: int) -> None:
    ring = Ring([np.array(numbers, np.float32)] * 2, [np.full((2, 2), np.nan, np.float32)], new, seen, 7)

    again = _unpacked(json.loads(json.dumps(_packed(ring))))

    assert (again.new, again.seen, again.met_at) == (new, seen, 7)
    np.testing.assert_array_equal(again.embeddings, ring.embeddings)
    np.testing.assert_array_equal(again.gaze, ring.gaze)


def test_tracks_long_gone_are_forgotten() -> None:
    operator = judge()
    operator(video(4))

    operator([frame_of(mesh(150), index=1000, tracks=(2,))])

    assert json.loads(operator.snapshot("s"))["rings"].keys() == {"2"}


def test_faces_without_a_track_and_predicted_ones_are_not_encoded() -> None:
    frame = frame_of(mesh(100), mesh(100) + 95, tracks=(-1, 5))
    unseen = replace(frame, faces=replace(frame.faces, seen=np.array([True, False])))
    operator = judge()

    (out,) = operator([unseen])

    assert json.loads(operator.snapshot("s"))["rings"] == {}
    assert np.isfinite(out.faces.data["gaze"]).all(), "where they look is reported all the same"


@dataclass(frozen=True)
class Shaped:
    """What is asked of an opened network: its inputs, and where it lies."""

    inputs: Mapping[str, Tensor]
    file: Path | None = None


@pytest.mark.parametrize(("size", "frames"), [(None, 8), (32, None)], ids=["any size", "any length"])
def test_networks_of_no_fixed_size_are_refused(size: int | None, frames: int | None) -> None:
    frame = Shaped({"face": Tensor.of("face", "float32", (None, 3, size, size))})
    clip = Shaped({"emb_seq": Tensor.of("emb_seq", "float32", (None, frames, 12))})

    with pytest.raises(ConfigError, match="expected networks of a fixed size and number of frames"):
        _shape({"frame": frame, "clip": clip})


def test_sizes_are_those_of_the_networks_or_usual_ones() -> None:
    frame = Shaped({"face": Tensor.of("face", "float32", (None, 3, 80, 80))})
    clip = Shaped({"emb_seq": Tensor.of("emb_seq", "float32", (None, 5, 12))})

    assert _shape({"frame": frame, "clip": clip}) == (80, 5)
    assert _shape({"frame": encode, "clip": compare}) == (96, 8)


@pytest.mark.parametrize(("metrics", "centre"), [({"centre": 0.75}, 0.75), ({}, 1.0)], ids=["said", "not said"])
def test_the_card_says_how_much_of_a_crop_is_kept(metrics: dict[str, float], centre: float, tmp_path: Path) -> None:
    card = Card(name="c", task="forgery", licence="-", sha256="0" * 64, source="-", metrics=metrics)
    write_card(tmp_path / "clip.onnx", card)

    assert _centre(Shaped({}, tmp_path / "clip.onnx")) == centre  # type: ignore[arg-type]
    assert _centre(compare) == 1.0
