"""The recipe of ACMF: stage 1 on masked images, then the offline pass of attention consistency, then calibration.

The defaults are the paper's where its code states them; what they leave open is marked.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor, nn

from engines.export import Network
from engines.progress import OnProgress
from engines.training import Best, Stateful, TrainingRun, averaged, warm_cosine
from operators import crops, metrics
from operators.cropset import CropSet
from operators.deepfake import quality
from operators.deepfake.acmf import model
from operators.deepfake.acmf.model import Detector, Exported, Variant
from operators.deepfake.model import mask_loss, pair_ranking, placed
from operators.deepfake.pairs import Ahead, PairBatch, Pairs, calibrate, halves
from operators.forge.degrade import jpeg

BETAS = (0.9, 0.95)
VALIDATED = 750
"""At most so many pairs are looked at to choose the best weights."""
FULL = 1.0
STRENGTHS = (0.0, FULL)
"""Calibrated on each picture as it is, and degraded as in training: nobody knows at run time which it is."""
CHUNK = 128

ABLATIONS: dict[str, dict[str, object]] = {
    "as configured": {},
    "no masking": {"rate": 0.0},
    "all images masked": {"share": 1.0},
    "rate 0.3": {"rate": 0.3},
    "rate 0.5": {"rate": 0.5},
    "rate 0.9": {"rate": 0.9},
    "masking spatial_abs": {"masking": "spatial_abs"},
    "masking spectral": {"masking": "spectral"},
    "no attention consistency": {"fac_epochs": 0.0},
}
"""Options laid over the config's, one training each."""


def train(
    run: TrainingRun,
    data: CropSet,
    *,
    trunk: str = "xception",
    backbone: Path | None = None,
    size: int = 224,
    masking: Variant = "spatial_signed",
    rate: float = 0.1,
    share: float = 1.0,
    flooding: float = 0.04,
    epochs: float = 20,
    batch: int = 64,
    lr: float = 2e-4,
    weight_decay: float = 0.05,
    warm_up_epochs: float = 1,
    smoothing: float = 0.0,
    dense: float = 0.0,
    ranking: float = 0.0,
    average: float = 0.0,
    mild: float = 0.0,
    fac_epochs: float = 2,
    fac_lr: float = 2e-5,
    fac_weight: float = 1.0,
) -> None:
    """Trains, chooses by AUC on the validation split, calibrates on its other half.

    Args:
        trunk: `xception`, `xception-mini`, or `mobilenet` with ImageNet weights in `backbone`.
        size: of the images, in pixels.
        masking, rate, share: which frequencies are knocked out, how many, and of how many images (see
            `model.mask_frequencies`).
        flooding: the cost below which the gradient turns round.
        epochs: how often as many pairs are drawn as there are forgeries.
        batch: images, half of them genuine.
        dense, ranking: weights of the loss on where a face was changed, and of that on pairs (not in the paper).
        average: decay of the moving average of the weights that is kept; 0 keeps the weights themselves.
        mild: the part of all steps in which pictures are degraded mildly, before they are in full.
        fac_epochs, fac_lr, fac_weight: of the offline attention-consistency pass.
    """
    pairs, held = Pairs(data.split("train"), size), _HeldPairs(data.split("val"), size)
    detector = placed(model.build(trunk, weights=backbone, dense=dense > 0), run.device)
    per_epoch = max(1, 2 * len(pairs) // batch)

    def loss_of(net: Detector, made: PairBatch, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """L1 with what the config adds to it; and the masked images."""
        faces, fake = _tensor(made.faces, run), torch.arange(len(made.faces), device=run.device) >= len(made.paired)
        faces = model.mask_frequencies(faces, variant=masking, rate=rate, share=share, generator=draw)
        if not dense:
            logits = net(faces)
        else:
            logits, evidence = net.with_evidence(faces)
        loss = model.flood(model.classification(logits.float(), fake, smoothing=smoothing), flooding)
        if dense:
            known = torch.from_numpy(made.known).to(run.device)
            loss = loss + dense * mask_loss(evidence.float()[known], _tensor(made.changed, run)[known])
        if ranking and made.paired.any():
            odds = (logits[:, 1] - logits[:, 0]).float()
            real, forged = odds.chunk(2)
            paired = torch.from_numpy(made.paired).to(run.device)
            loss = loss + ranking * pair_ranking(forged[paired], real[paired])
        return loss, faces

    best = Best(detector)
    total = max(1, round(epochs * per_epoch))
    warm = min(0.5, warm_up_epochs * per_epoch / total)
    optimiser = torch.optim.AdamW(detector.parameters(), lr=lr, betas=BETAS, weight_decay=weight_decay)
    schedule = warm_cosine(optimiser, total, warm)
    shown = averaged(detector, average)

    def stage_1(step: int) -> PairBatch:
        return pairs.batch(run.rng("pairs", step), batch // 2, 0.3 if step < mild * total else FULL)

    parts: dict[str, Stateful] = {"model": detector, "average": shown, "best": best}
    parts |= {"optimiser": optimiser, "schedule": schedule}
    with Ahead(stage_1, total) as batches:
        for step in run.steps(total, "training", **parts):
            detector.train()
            with torch.autocast(run.device.type, torch.bfloat16, enabled=run.device.type == "cuda"):
                loss, _ = loss_of(detector, batches[step], _chance(run, "masks", step))
            _step(loss, detector, optimiser)
            schedule.step()
            shown.update_parameters(detector)
            if (step + 1) % max(1, total // 4) == 0 or step + 1 == total:
                best.offer(shown.module, held.auc(shown.module, run))
            run.log(step, loss=loss.detach(), val_auc=best.auc)
    figures = {"val_auc_stage_1": best.auc}
    best.give(detector)
    if fac_epochs:
        figures["val_auc_attention"] = _attend(
            run, detector, loss_of, pairs, best, held,
            epochs=fac_epochs, lr=fac_lr, weight=fac_weight, batch=batch, weight_decay=weight_decay,
        )  # fmt: skip
        best.give(detector)

    with run.phase("calibration"):
        exported, found = held.calibrated(detector, run)
    run.finish(exported.state_dict(), val_auc=best.auc, **figures, **found)


def _attend(
    run: TrainingRun,
    detector: Detector,
    loss_of: Any,
    pairs: Pairs,
    best: Best,
    held: _HeldPairs,
    *,
    epochs: float,
    lr: float,
    weight: float,
    batch: int,
    weight_decay: float,
) -> float:
    """The offline pass: on clean images the network must look where its frozen copy looks on masked ones.

    Returns:
        The AUC after it; `best` keeps the weights if they are no worse than those before.
    """
    total = max(1, round(epochs * max(1, 2 * len(pairs) // batch)))
    teacher = model.frozen(detector)
    optimiser = torch.optim.AdamW(detector.parameters(), lr=lr, betas=BETAS, weight_decay=weight_decay)
    schedule = warm_cosine(optimiser, total)

    def make(step: int) -> PairBatch:
        return pairs.batch(run.rng("attention pairs", step), batch // 2, FULL)

    parts: dict[str, Stateful] = {"model": detector, "teacher": teacher, "best": best}
    parts |= {"optimiser": optimiser, "schedule": schedule}
    with Ahead(make, total) as batches:
        for step in run.steps(total, "attention consistency", **parts):
            detector.train()
            made = batches[step]
            loss, masked = loss_of(detector, made, _chance(run, "attention masks", step))
            agreement = model.view_consistency(detector, _tensor(made.faces, run), teacher, masked)
            _step(loss + weight * agreement, detector, optimiser)
            schedule.step()
            run.log(step, loss=loss.detach(), disagreement=agreement.detach(), val_auc=best.auc)
    auc = held.auc(detector, run)
    best.offer(detector, auc)
    return auc


def networks(
    weights: Mapping[str, Tensor],
    *,
    trunk: str = "xception",
    size: int = 224,
    dense: float = 0.0,
    **_: object,
) -> dict[str, Network]:
    """What is exported of a training: one network."""
    return {"detector": Network(_restored(weights, trunk, dense), model.example(size))}


def video_tta(
    weights: Mapping[str, Tensor],
    videos: CropSet,
    source: CropSet,
    *,
    seed: int = 0,
    frames: int = 50,
    source_batch: int = 30,
    on_progress: OnProgress | None = None,
    trunk: str = "xception",
    size: int = 224,
    dense: float = 0.0,
    **_: object,
) -> NDArray[np.float64]:
    """The paper's stage 2: for each clip a detector adapted to it, and one probability for all its crops, `(n,)`.

    It sees the unlabelled videos that it scores, and no label of theirs: its AUC is `auc_video_tta`, never a fixed
    model's. What a clip scores depends on no other clip: each begins from the same weights with its own chance.

    Args:
        weights: of a whole training; the options after it are those of `networks`.
        source: labelled crops of the training set.
        frames: so many of a video are looked at, spread over it.
        source_batch: labelled crops for each of the two steps.
    """
    exported = _restored(weights, trunk, dense)
    scores = np.full(len(videos), np.nan)
    clips = np.unique(videos.clips)
    for number, clip in enumerate(clips, 1):
        rows = np.flatnonzero(videos.clips == clip)
        rows = rows[np.argsort(videos.frames[rows], kind="stable")]
        looked = rows[np.linspace(0, len(rows) - 1, min(frames, len(rows))).round().astype(int)]
        rng = np.random.default_rng((seed, zlib.crc32(str(clip).encode())))

        def draw(rng: np.random.Generator = rng) -> tuple[Tensor, Tensor]:
            chosen = rng.integers(0, len(source), source_batch)
            return _faces(source, chosen, size), torch.from_numpy(np.asarray(source.labels)[chosen])

        video = _faces(videos, looked, size)
        chance = torch.Generator().manual_seed(seed)
        adapted = model.adapt(exported.detector, video, draw, generator=chance)
        scores[rows] = exported.calibrated(model.video_logits(adapted, video)[None]).item()
        if on_progress is not None:
            on_progress("adapting", number, len(clips), {})
    return scores


class _HeldPairs:
    """The validation split, in pairs that are always the same: some people to choose by and to check on, others to
    calibrate on."""

    def __init__(self, data: CropSet, size: int) -> None:
        calibrates = halves(np.asarray(data.groups))
        self._calibrates, self._others = (Pairs(data.where(rows), size) for rows in (calibrates, ~calibrates))
        fakes = self._others.forged
        chosen = fakes[np.linspace(0, len(fakes) - 1, min(VALIDATED, len(fakes))).astype(int)]
        self._faces = self._others.made(chosen, np.random.default_rng(0), FULL).faces
        self._labels = np.repeat([0, 1], len(chosen))

    def auc(self, detector: nn.Module, run: TrainingRun) -> float:
        return metrics.auc(self._labels, _odds(detector, self._faces, run))

    def calibrated(self, detector: Detector, run: TrainingRun) -> tuple[Exported, dict[str, float]]:
        """The network with its calibration, and what the card has to say about it, measured on the other people."""
        found = []
        for (fit, pairs), strength in product(((True, self._calibrates), (False, self._others)), STRENGTHS):
            for start in range(0, len(pairs), CHUNK):
                part = pairs.forged[start : start + CHUNK]
                faces = pairs.made(part, np.random.default_rng((1, start)), strength).faces
                plain = expit(_odds(detector, faces, run).astype(np.float64))
                labels, n = np.repeat([0, 1], len(part)), len(faces)
                measured = quality.measure(_images(faces))
                found.append((plain, labels, np.full(n, fit), measured, np.full(n, strength == FULL)))
        curve, error, limits = calibrate(*(np.concatenate(column) for column in zip(*found, strict=True)))
        probes = self._probes(detector, _images(self._faces), self._labels, run)
        return Exported(detector, curve), {"val_ece": error, **probes, **limits.figures()}

    def _probes(
        self, detector: Detector, images: NDArray[np.uint8], labels: NDArray[np.int64], run: TrainingRun
    ) -> dict[str, float]:
        """What masking is for, and a short cut: the AUC of blurred pictures, and how far genuine pictures with one more
        JPEG pass are taken for forgeries, 0.5 if not at all."""
        blurred = np.stack([cv2.GaussianBlur(image, (0, 0), 1.0) for image in images])
        genuine = images[labels == 0]
        passed = np.stack([jpeg(image, 75) for image in genuine])
        odds = _odds(detector, crops.to_input(np.concatenate([genuine, passed])), run)
        return {
            "val_auc_blurred": metrics.auc(labels, _odds(detector, crops.to_input(blurred), run)),
            "val_auc_jpeg_alone": metrics.auc(np.repeat([0, 1], len(genuine)), odds),
        }


def _step(loss: Tensor, detector: Detector, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(detector.parameters(), 5.0)  # not in the paper; it keeps small batches from diverging
    optimiser.step()


def _odds(detector: nn.Module, faces: NDArray[np.float32], run: TrainingRun) -> NDArray[np.float32]:
    """Log odds `(n,)` of fake."""
    with model.evaluating(detector), torch.no_grad():
        logits = torch.cat(
            [detector(_tensor(part, run)).float() for part in np.array_split(faces, -(-len(faces) // 64))]
        )
    return np.asarray((logits[:, 1] - logits[:, 0]).cpu().numpy())


def _chance(run: TrainingRun, name: str, step: int) -> torch.Generator:
    """Draws masks on the CPU, so that they are the same on every device."""
    return torch.Generator().manual_seed(int(run.rng(name, step).integers(2**62)))


def _tensor(array: NDArray[np.float32], run: TrainingRun) -> Tensor:
    return torch.from_numpy(array).to(run.device, non_blocking=True)


def _images(faces: NDArray[np.float32]) -> NDArray[np.uint8]:
    """`(n, s, s, 3)` of `(n, 3, s, s)` in 0..1."""
    return np.rint(faces.transpose(0, 2, 3, 1) * 255).astype(np.uint8)


def _faces(data: CropSet, rows: NDArray[np.int64], size: int) -> Tensor:
    return torch.from_numpy(crops.to_input(crops.resize(np.asarray(data.pixels[rows]), size)))


def _restored(weights: Mapping[str, Tensor], trunk: str, dense: float) -> Exported:
    exported = Exported(model.build(trunk, dense=dense > 0))
    exported.load_state_dict(weights, strict=True)
    return exported.eval()
