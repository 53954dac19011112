"""The recipe of GazeForensics: a gaze teacher with its gate, then the clip model, then calibration.

The defaults are those of the paper's code. Where there are no videos, clips are rendered from stills.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines import ConfigError
from engines.export import Network
from engines.training import Best, TrainingRun, read_weights
from operators import crops, metrics
from operators.cropset import CropSet
from operators.deepfake import quality
from operators.deepfake.calibration import PLAIN, Curve
from operators.deepfake.gazeforensics import model
from operators.deepfake.gazeforensics.clips import ClipSource, ClipTable
from operators.deepfake.gazeforensics.data import GAZE_KINDS, HIDES, KINDS, FaceClip, prepared, teaching
from operators.deepfake.gazeforensics.model import Bins, GazeForensics, GazeNet, Mode, Sizes, Teacher
from operators.deepfake.model import Calibrated, placed
from operators.deepfake.pairs import Ahead, calibrate, halves
from operators.forge.gaze import shift_irises

PAPER_CENTRE = 177 / 224
NARROW = Bins(count=32, step=4.0, low=-64.0)
"""Irises do not turn further than this in their eyes; the paper's bins are for heads that turn round."""
TEACHER = "teacher.pt"
SHIFT, BRIGHTER = 0.25, 1.15
"""What the gate compares: an iris moved by a quarter of its eye, and a picture made so much brighter."""

ABLATIONS: dict[str, dict[str, object]] = {
    "as configured": {},
    "no gaze": {"mu": 0.0, "start": "backbone"},
    "fine-tuned from gaze, no gaze loss": {"mu": 0.0},
    "frozen gaze trunk": {"mode": "freeze"},
    "frozen gaze trunk, free leaky trunk": {"mode": "freeze", "leaky_trunk": True},
    "no leaky numbers": {"leaky": 0},
}
"""Options laid over the config's, one training each."""


def train(
    run: TrainingRun,
    data: CropSet,
    *,
    trunk: str = "resnet18",
    backbone: Path | None = None,
    head: Literal["paper", "small"] = "paper",
    leaky: int | None = None,
    mode: Mode = "full",
    leaky_trunk: bool = False,
    start: Literal["gaze", "backbone"] = "gaze",
    size: int = 224,
    centre: float = PAPER_CENTRE,
    kinds: Sequence[str] = KINDS,
    mu: float = 4.0,
    epochs: int = 25,
    clips: int = 8000,
    redraw: float = 0.2,
    batch: int = 32,
    lr: float = 7e-5,
    weight_decay: float = 1e-2,
    held: int = 400,
    teacher: Path | None = None,
    teacher_epochs: float = 25,
    teacher_batch: int = 32,
    teacher_lr: float = 1e-4,
    angle_weight: float = 1.0,
    gate: float = 0.8,
) -> None:
    """Trains, chooses by the AUC of validation videos, calibrates on others of them.

    Args:
        trunk: `resnet18`, `resnet10`, or `mobilenet` with ImageNet weights in `backbone`.
        head: widths after the trunk: the paper's for 14 frames, or small ones for 8.
        leaky: how many free numbers there are; None is as many as the head's.
        mode, leaky_trunk: `freeze` leaves the gaze trunk alone, with or without a trunk for the free numbers.
        start: what the trunk begins from, the teacher or its backbone.
        size: of frames, in pixels; `centre`: which part of each crop's side is kept.
        kinds: of forgery, in rendered clips.
        mu: weight of the gaze loss at the beginning.
        clips: in the table; `redraw`: which part of them is new in each epoch.
        lr: for a batch of 32, and scaled with it; one-cycle, a step for each epoch.
        held: so many clips are held for validation at most.
        teacher: a `teacher.pt` that another training left, of the same trunk and size, instead of training one.
        teacher_epochs, teacher_batch, teacher_lr, angle_weight: of the gaze teacher.
        gate: the least correlation of the teacher's yaw with known shifts of irises (see `passes`).

    Raises:
        ConfigError: the data allow no clips, the teacher's file is no such thing, or it did not pass its gate.
    """
    sizes = _sizes(head, leaky)
    parts = {
        name: ClipSource(data.split(name), frames=sizes.frames, size=size, kinds=kinds) for name in ("train", "val")
    }
    gazing = placed(GazeNet(model.build_trunk(trunk, weights=backbone), NARROW), run.device)
    if teacher is None:
        _teach(
            run, gazing, parts["train"], size=size, centre=centre, epochs=teacher_epochs, batch=teacher_batch,
            lr=teacher_lr, angle_weight=angle_weight,
        )  # fmt: skip
    else:
        _load(gazing, teacher)
    figures = gate_figures(gazing.eval(), parts["val"], size=size, centre=centre, run=run)
    if not passes(figures, gate):
        raise ConfigError(
            f"the gaze teacher: expected a correlation with known shifts of at least {gate}, and to be moved more by "
            f"them than by brightness; got {figures}; train it longer (teacher_epochs)"
        )
    run.leave(TEACHER, gazing.state_dict(), **figures)
    taught = Teacher(gazing).to(run.device)

    run.reseed("clip model")
    first = taught.trunk if start == "gaze" else model.build_trunk(trunk, weights=backbone)
    free = model.build_trunk(trunk, weights=backbone) if leaky_trunk else None
    net = GazeForensics(copy.deepcopy(first).requires_grad_(True), sizes=sizes, leaky_trunk=free, mode=mode)
    net = placed(net, run.device)
    trained = [p for p in net.parameters() if p.requires_grad]
    # The paper's two optimisers have the same settings, and AdamW treats each number by itself: one is the same.
    optimiser = torch.optim.AdamW(trained, lr=lr * batch / 32, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, lr * batch / 32, total_steps=max(epochs, 2), pct_start=0.3, div_factor=1e3
    )
    held_out = _HeldParts(parts["val"], held, size, centre)

    def targets(made: NDArray[np.uint8]) -> NDArray[np.float32]:
        cut = np.array_split(made, -(-len(made) // 8))
        return np.concatenate([taught(_input(part, size, centre, run)).cpu().numpy() for part in cut])

    table = ClipTable(parts["train"], clips, redraw=redraw, chance=run.rng, encode=targets)
    best = Best(net)
    per_epoch = max(1, clips // batch)
    for step in run.steps(epochs * per_epoch, "training", model=net, optimiser=optimiser, schedule=schedule, best=best):
        epoch, number = divmod(step, per_epoch)
        table.at(epoch)
        rows = run.rng("order", epoch).permutation(clips)[number * batch : (number + 1) * batch]
        net.train()
        with torch.autocast(run.device.type, torch.bfloat16, enabled=run.device.type == "cuda"):
            logits, g = net(_input(table.frames[rows], size, centre, run))
        real, target = torch.from_numpy(table.real[rows]).to(run.device), torch.from_numpy(table.targets[rows])
        loss = model.clip_loss(logits, real, g, target.to(run.device), model.gaze_weight(epoch, epochs, mu))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        if number + 1 == per_epoch:
            if epoch + 1 < epochs:
                schedule.step()
            best.offer(net, held_out.auc(net, run))
        run.log(step, loss=loss.detach(), val_auc=best.auc)
    best.give(net)

    with run.phase("calibration"):
        trained_net, found = held_out.calibrated(net, run)
        if parts["val"].rendered:
            found |= _mechanism(net, parts["val"], held, size, centre, run)
    run.finish(trained_net.state_dict(), val_auc=best.auc, centre=centre, **figures, **found)


class Trained(nn.Module):
    """What a training leaves: the clip model with its calibration."""

    def __init__(self, net: GazeForensics, curve: Curve = PLAIN) -> None:
        super().__init__()
        self.net, self.calibrated = net, Calibrated(curve, fake=model.FAKE)


def networks(
    weights: Mapping[str, Tensor],
    *,
    trunk: str = "resnet18",
    head: Literal["paper", "small"] = "paper",
    leaky: int | None = None,
    leaky_trunk: bool = False,
    size: int = 224,
    **_: object,
) -> dict[str, Network]:
    """What is exported of a training: one network for frames, one for clips of what it makes of them."""
    free = model.build_trunk(trunk) if leaky_trunk else None
    trained = Trained(GazeForensics(model.build_trunk(trunk), sizes=_sizes(head, leaky), leaky_trunk=free))
    trained.load_state_dict(weights, strict=True)
    net = trained.net.eval()
    frame, clip = model.example(net, size)
    clip_engine = model.ClipEngine(net, trained.calibrated.curve)
    return {"frame": Network(model.FrameEngine(net).eval(), frame), "clip": Network(clip_engine.eval(), clip)}


def rendered(
    stills: CropSet,
    *,
    head: Literal["paper", "small"] = "paper",
    leaky: int | None = None,
    size: int = 224,
    kinds: Sequence[str] = KINDS,
    max_clips: int = 600,
    **_: object,
) -> CropSet:
    """What the system is tested on where a set has genuine stills alone: clips of them, as a set of videos.

    Args:
        stills: genuine ones, of one split; the options are those of the recipe.
        max_clips: so many clips at most: a genuine and a forged one of each still, the kinds in turn.

    Raises:
        ConfigError: there are less than two stills.
    """
    frames = _sizes(head, leaky).frames
    source = ClipSource(stills, frames=frames, size=size, kinds=kinds)
    rows = np.random.default_rng(1).permutation(source.genuine)[: max(2, max_clips // 2)]
    made = [(int(row), kind) for number, row in enumerate(rows) for kind in ("real", kinds[number % len(kinds)])]
    clips = [source.rendering(row, kind, np.random.default_rng((13, row, kind == "real"))) for row, kind in made]
    row_of = np.repeat([row for row, _ in made], frames)
    kind_of = np.repeat([kind for _, kind in made], frames)
    return CropSet(
        pixels=np.concatenate([clip.frames for clip in clips]),
        points=np.full((len(row_of), 478, 2), np.nan, np.float32),
        labels=(kind_of != "real").astype(np.int8),
        groups=np.asarray(stills.groups)[row_of],
        clips=np.char.add(np.asarray(stills.clips)[row_of], np.char.add("#", kind_of)),
        frames=np.tile(np.arange(frames), len(made)),
        splits=np.asarray(stills.splits)[row_of],
        kinds=kind_of,
        masks=np.empty((0, 1, 1), np.uint8),
        origins=np.full(len(row_of), -1, np.int64),
    )


def _sizes(head: Literal["paper", "small"], leaky: int | None) -> Sizes:
    if head not in ("paper", "small"):
        raise ConfigError(f"head: expected paper or small, got {head!r}")
    sizes = Sizes() if head == "paper" else model.SMALL
    return sizes if leaky is None else replace(sizes, leaky=leaky)


# -- the teacher -----------------------------------------------------------------------------------


def _teach(
    run: TrainingRun,
    net: GazeNet,
    source: ClipSource,
    *,
    size: int,
    centre: float,
    epochs: float,
    batch: int,
    lr: float,
    angle_weight: float,
) -> None:
    """Trains a gaze network on genuine stills with moved irises."""
    total = max(1, round(epochs * len(source.genuine) / batch))
    optimiser = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=total + 1, pct_start=0.2, div_factor=1e3)

    def make(step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rng = run.rng("teaching", step)
        made = [teaching(source.face(int(row)), rng, size=size) for row in rng.choice(source.genuine, batch)]
        frames, angles = np.stack([pixels for pixels, _, _ in made]), np.stack([angle for _, angle, _ in made])
        return prepared(frames, size, centre=centre), angles.astype(np.float32)

    with Ahead(make, total) as batches:
        for step in run.steps(total, "gaze teacher", model=net, optimiser=optimiser, schedule=schedule):
            net.train()
            frames, degrees = (torch.from_numpy(array).to(run.device) for array in batches[step])
            pitch, yaw = net(frames)
            loss = model.l2cs_loss(pitch, degrees[:, 0], net.bins, weight=angle_weight)
            loss = loss + model.l2cs_loss(yaw, degrees[:, 1], net.bins, weight=angle_weight)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            run.log(step, loss=loss.detach())


def _load(net: GazeNet, file: Path) -> None:
    try:
        net.load_state_dict(read_weights(file)[0])
    except RuntimeError as error:
        raise ConfigError(f"{file}: expected the teacher of a training with the same trunk ({error})") from error


def passes(figures: Mapping[str, float], gate: float) -> bool:
    """Whether a teacher may teach: it must recognise gaze, and gaze more than light. A gate of 0 lets any pass."""
    return gate <= 0 or (figures["teacher_correlation"] >= gate and figures["teacher_ratio"] > 1)


def gate_figures(
    net: GazeNet, source: ClipSource, *, size: int, centre: float, run: TrainingRun, max_clips: int = 256
) -> dict[str, float]:
    """How the teacher does on people it has not seen.

    `teacher_correlation` of its yaw with how far the irises were moved, `teacher_error` in degrees, and
    `teacher_ratio`, how much further moved irises carry its embedding than a brighter picture does.
    """
    rng = np.random.default_rng(0)
    rows = rng.permutation(source.genuine)[:max_clips]
    made = [teaching(source.face(int(row)), rng, size=size) for row in rows]
    frames = np.stack([pixels for pixels, _, _ in made])
    degrees = np.stack([angle for _, angle, _ in made])
    shifts = np.array([shift for _, _, shift in made])

    def seen(pictures: NDArray[np.uint8]) -> Tensor:
        return torch.from_numpy(prepared(pictures, size, centre=centre)).to(run.device)

    plain, moved = (np.stack([_shifted(source, int(row), by, size) for row in rows]) for by in (0.0, SHIFT))
    brighter = np.rint(np.clip(plain * BRIGHTER, 0, 255)).astype(np.uint8)
    with torch.no_grad():
        found = net.angles(seen(frames)).cpu().numpy()
        at, away, lit = (net.trunk(seen(pictures)) for pictures in (plain, moved, brighter))
        ratio = float((away - at).norm(dim=1).mean() / (lit - at).norm(dim=1).mean().clamp_min(1e-9))
    correlation = float(np.corrcoef(shifts, found[:, 1])[0, 1]) if found[:, 1].std() > 0 else 0.0
    error = float(np.abs(found - degrees).mean())
    return {"teacher_correlation": correlation, "teacher_error": error, "teacher_ratio": ratio}


# -- validation ------------------------------------------------------------------------------------


class _HeldParts:
    """Clips that are always the same; some people to choose by, others to calibrate on."""

    def __init__(self, source: ClipSource, max_clips: int, size: int, centre: float) -> None:
        held = source.held(max_clips, np.random.default_rng(0))
        self._labels, self._subjects, self._calibrates = held.labels, held.subjects, halves(held.groups)
        self._frames, self._size, self._centre = np.stack([clip.frames for clip in held.clips]), size, centre

    def auc(self, net: GazeForensics, run: TrainingRun) -> float:
        """Of videos: the mean over their clips."""
        chosen = ~self._calibrates
        scores = probabilities(net, self._frames[chosen], self._size, self._centre, run)
        _, labels, means = metrics.by_clip(self._subjects[chosen], self._labels[chosen], scores)
        return metrics.auc(labels, means)

    def calibrated(self, net: GazeForensics, run: TrainingRun) -> tuple[Trained, dict[str, float]]:
        plain = probabilities(net, self._frames, self._size, self._centre, run)
        measured = quality.measure(crops.resize(self._frames[:, 0], self._size))
        every = np.ones(len(plain), bool)
        curve, error, limits = calibrate(plain, self._labels, self._calibrates, measured, every)
        return Trained(net, curve), {"val_ece": error, **limits.figures()}


def _mechanism(
    net: GazeForensics, source: ClipSource, max_clips: int, size: int, centre: float, run: TrainingRun
) -> dict[str, float]:
    """Whether it works as meant: AUC by kind, without the eyes, without the mouth, and of one frame repeated; and how
    well the shift of irises can be read from g and from the leaky numbers."""
    rows = np.random.default_rng(1).permutation(source.genuine)[: max(8, max_clips // 2)]

    def made(kind: str, hidden: str = "") -> list[FaceClip]:
        return [source.rendering(int(row), kind, np.random.default_rng((11, int(row))), hidden) for row in rows]

    def scored(clips: Sequence[FaceClip], still: bool = False) -> NDArray[np.float64]:
        frames = np.stack([clip.frames for clip in clips])
        return probabilities(net, frames[:, :1].repeat(frames.shape[1], 1) if still else frames, size, centre, run)

    def auc_of(genuine: NDArray[np.float64], forged: Sequence[NDArray[np.float64]]) -> float:
        labels = np.repeat([0, 1], (len(genuine), sum(map(len, forged))))
        return metrics.auc(labels, np.concatenate([genuine, *forged]))

    genuine = made("real")
    seen, clips = scored(genuine), {kind: made(kind) for kind in KINDS}
    figures = {f"val_auc_{kind}": auc_of(seen, [scored(clips[kind])]) for kind in KINDS}
    figures["val_auc_gaze"] = auc_of(seen, [scored(clips[kind]) for kind in GAZE_KINDS])
    figures["val_auc_jittered_one_frame"] = auc_of(scored(genuine, still=True), [scored(clips["jittered"], still=True)])
    for hidden in HIDES:
        forged = [scored(made(kind, hidden)) for kind in GAZE_KINDS]
        figures[f"val_auc_gaze_without_{hidden}"] = auc_of(scored(made("real", hidden)), forged)
    with torch.no_grad():
        frames = _input(np.stack([clip.frames for clip in genuine]), size, centre, run)
        emb = net.eval().encode(frames.flatten(0, 1)).float().cpu().numpy()
    offset = np.concatenate([clip.offsets[:, 0] for clip in genuine])
    people = np.repeat(np.arange(len(genuine)), len(genuine[0].frames))
    figures["probe_g"] = probe(emb[:, : net.width], offset, people)
    if net.sizes.leaky:
        figures["probe_leaky"] = probe(emb[:, net.width :], offset, people)
    return figures


def probe(features: NDArray[Any], target: NDArray[Any], people: NDArray[Any]) -> float:
    """R^2 of a linear probe fitted on one half of the people, on the other: 1 reads the target off, 0 knows nothing."""
    fit = people < np.median(people)
    mean, spread = features[fit].mean(0), features[fit].std(0) + 1e-6
    x = np.column_stack([(features - mean) / spread, np.ones(len(features))]).astype(np.float64)
    ridge = np.eye(x.shape[1]) * 0.01 * fit.sum()
    weight = np.linalg.solve(x[fit].T @ x[fit] + ridge, x[fit].T @ target[fit])
    left = target[~fit] - x[~fit] @ weight
    return float(1 - (left**2).sum() / ((target[~fit] - target[~fit].mean()) ** 2).sum())


def probabilities(
    net: GazeForensics, clips: NDArray[np.uint8], size: int, centre: float, run: TrainingRun
) -> NDArray[np.float64]:
    """Probability `(n,)` of fake of clips `(n, t, s, s, 3)`, before calibration."""
    was = net.training
    net.eval()
    found = []
    with torch.no_grad():
        for part in np.array_split(clips, -(-len(clips) // 8)):
            logits, _ = net(_input(part, size, centre, run))
            found.append(torch.softmax(logits.float(), 1)[:, model.FAKE].cpu().numpy())
    net.train(was)
    return np.concatenate(found).astype(np.float64)


def _input(clips: NDArray[np.uint8], size: int, centre: float, run: TrainingRun) -> Tensor:
    """Clips `(b, t, s, s, 3)` as the network is given them, `(b, t, 3, size, size)`."""
    frames = prepared(clips.reshape(-1, *clips.shape[2:]), size, centre=centre)
    return torch.from_numpy(frames).to(run.device).view(*clips.shape[:2], 3, size, size)


def _shifted(source: ClipSource, row: int, by: float, size: int) -> NDArray[np.uint8]:
    face = source.face(row)
    return crops.resize(shift_irises(face, (by, 0.0), (by, 0.0)).pixels[None], size)[0]
