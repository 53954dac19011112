"""Writes docs/results.md, and a dozen of it into the README, from `bench/results/*.json`: `python -m bench.results`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report import read_report
from pipeline.provenance import FiguresReport

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results: python -m bench.results -->", "<!-- end of results -->"


SHOWN = {
    "recall_ours": "faces found in photos of crowds (recall at IoU 0.4)",
    "recall_deface": "faces found in photos of crowds by deface",
    "video_recall_ours": "faces hidden in video (face-frames covered), look-ahead of files",
    "video_recall_ours_live": "faces hidden in video, look-ahead of live streams",
    "video_recall_deface": "faces hidden in video by deface",
    "rank1_none": "people found again in tracks (rank-1 among 525) with no cover, by the best attacker",
    "rank1_none_ridge": "the same, by ridge regression",
    "rank1_none_network": "the same, by a network that has learned on tracks",
    "rank1_worst_default": "people found again under our covers: the worst style, number of frames and attacker",
    "rank1_worst_default_high": "the upper end of its 95 % interval",
    "rank1_blur_1": "people found again under our blur by the worst attacker, from 1 frame",
    "rank1_blur_4": "from 4 frames",
    "rank1_blur_16": "from 16 frames",
    "rank1_blur_64": "from 64 frames",
    "rank1_mosaic_1": "people found again under our mosaic by the worst attacker, from 1 frame",
    "rank1_mosaic_4": "from 4 frames",
    "rank1_mosaic_16": "from 16 frames",
    "rank1_mosaic_64": "from 64 frames",
    "rank1_around": "people found again by hair, clothes and background around a cover",
    "rank1_chance": "people found again by chance",
    "ours_cpu_ms_720p": "CPU-ms per frame at 720p",
    "deface_over_ours_360p": "deface's CPU per frame over ours, 360p",
    "deface_over_ours_720p": "deface's CPU per frame over ours, 720p",
    "deface_over_ours_1080p": "deface's CPU per frame over ours, 1080p",
    "ours_over_codec_720p": "ours over bare decode + encode, 720p",
    "ours_over_codec_1080p": "ours over bare decode + encode, 1080p",
    "carrying_cpu_ms_720p": "of it jail, broker, Ray and Python, above decode + encode, CPU-ms per frame at 720p",
    "speedup_of_2_workers_720p": "two streams on two workers, speed over one worker",
    "ours_peak_mb_1080p": "peak memory of a 1080p run in MB, all processes and Ray",
    "deface_peak_mb_1080p": "peak memory of deface at 1080p in MB",
    "single_stream_p90_ms_720p": "one camera at 720p, frame by frame: latency of 90 % of the frames in ms",
    "multi_stream_p99_ms_720p": "two cameras, frame by frame: latency of 99 % of the pairs in ms",
    "server_p99_ms_720p": "two cameras, frames coming by chance: latency of 99 % of the frames in ms",
    "offline_fps_720p": "frames per second of one worker, files at 720p",
    "offline_over_pass_floor_720p": "its CPU per frame over bare decode + encode",
    "offline_over_engine_floor_720p": "CPU in networks over a bare loop of ONNX Runtime",
    "added_p99_ms": "two live streams of 1080p30: added latency of 99 % of the frames in ms, look-ahead included",
    "lookahead_ms": "of it look-ahead",
    "encoder_alone_p99_ms": "of it encoding, alone",
    "added_unmasked": "frames of it that left unmasked",
    "overload_unmasked": "the same under overload",
    "overload_withheld": "frames withheld under overload",
    "forensics_side_by_side.auc": "live swaps that nobody trained on, against genuine faces: AUC of ACMF, by crops",
    "forensics_side_by_side.auc_low": "AUC of ACMF, lower end of the 95 % interval over clips",
    "forensics_side_by_side.auc_mesonet": "AUC of the better of two Meso4 on the same crops",
    "forensics_side_by_side.auc_gain_low": "ACMF's lead over it, lower end of the interval",
    "auc_gazeforensics": "AUC of GazeForensics on the same crops",
    "auc_fusion": "AUC of both together",
    "auc_video_tta": "ACMF adapted to each video without labels, by videos (it has seen what it scores)",
    "auc_learned": "test people of FairFace, forged in kinds that ACMF has learned: AUC",
    "ece_even_learned": "the same, expected calibration error, both classes weighing alike",
    "selective_error_70_learned": "the same, error among the surest 70 %",
    "shifted_auc_learned": "the same pictures after light, size, blur, noise, JPEG and H.264: AUC",
    "shifted_ece_even_learned": "of these the expected calibration error",
    "shifted_selective_error_70_learned": "of these the error among the surest 70 %",
    "acmf_kinds_left_out.auc_fairface_mean": "a kind left out of short trainings, all images masked: mean AUC of six",
    "acmf_kinds_left_out.auc_fairface_swap": "of them whole faces swapped",
    "acmf_kinds_left_out.auc_fairface_swap_seamless": "of them the same, seamlessly",
    "auc_fairface_reenact": "three more kinds left out: expressions moved",
    "auc_fairface_upsample": "up-sampling",
    "auc_fairface_soften": "and softening",
    "acmf_half_masked_kinds_left_out.auc_fairface_swap": "with half of the images masked: whole faces swapped",
    "acmf_half_masked_kinds_left_out.auc_fairface_swap_seamless": "the same, seamlessly",
    "acmf_half_masked_kinds_left_out.auc_fairface_mouth": "mouths of others",
    "acmf_half_masked_kinds_left_out.auc_fairface_recolour": "and skin of another tone",
    "auc_over_first_fairface_no_masking": "ACMF, short trainings: AUC without masking above that of all images masked",
    "auc_over_first_fairface_masking_spectral": "the same with bins of the spectrum masked",
    "auc_over_first_fairface_no_attention_consistency": "the same without the attention-consistency pass",
    "auc_over_first_fairface_no_gaze": "GazeForensics, trainings too short to learn: AUC without gaze above with it",
    "auc_over_first_side_by_side_no_gaze": "the same on live swaps",
    "acmf_over_bare": "ACMF's engine: fraction of the speed of a bare loop of ONNX Runtime on the same batch",
    "kills": "processes killed at random",
    "frames": "frames that were under way",
    "lost": "frames lost of these",
    "doubled": "frames doubled",
    "unmasked": "frames unmasked",
}
"""What docs/results.md reports, in this order; all other figures are in the files. A name that several of them have is
written with its file's name and a dot before it."""

HEADLINE = (
    "video_recall_ours",
    "video_recall_deface",
    "recall_ours",
    "recall_deface",
    "rank1_none",
    "rank1_worst_default",
    "rank1_worst_default_high",
    "ours_over_codec_720p",
    "deface_over_ours_720p",
    "added_p99_ms",
    "forensics_side_by_side.auc",
    "forensics_side_by_side.auc_low",
    "kills",
    "lost",
    "unmasked",
)
"""Of these the ones that stand in the README."""

PAGE = """# Results

All figures come from the commands below the table; each is a ratio or a rate within one run. `python -m bench.results`
writes this page from `bench/results/*.json`.

"""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One file of results, and the number that tables know it by."""

    number: int
    stem: str
    report: FiguresReport

    @property
    def origin(self) -> str:
        """The command, commit and machine that gave it."""
        seed = f", seed {self.report.seed}" if self.report.seed else ""
        return f"`{self.report.command}` at {self.report.commit[:10]} on {self.report.machine}{seed}"


def read_results(folder: Path) -> list[ResultFile]:
    """All results, by the names of their files."""
    files = enumerate(sorted(folder.glob("*.json")), 1)
    return [ResultFile(number, file.stem, read_report(file)) for number, file in files]


def table(results: Sequence[ResultFile], names: Iterable[str]) -> str:
    """A Markdown table of figures, with the files that they are from below it."""
    found = {
        name: (value, each)
        for each in results
        for own, value in each.report.numbers.items()
        for name in (own, f"{each.stem}.{own}")
    }
    shown = [(name, *found[name]) for name in names if name in found]
    lines = [
        f"| {SHOWN[name]} | `{name.rpartition('.')[2]}` | {_short(value)} | {each.number} |"
        for name, value, each in shown
    ]
    used = {each.number: each for _, _, each in shown}
    origins = [f"- {number}: {used[number].origin}" for number in sorted(used)]
    return "\n".join(["| what | figure | value | from |", "| --- | --- | ---: | --- |", *lines, "", *origins])


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def pages(readme: str, results: Sequence[ResultFile]) -> dict[str, str]:
    """By file: docs/results.md, and the README with its table replaced."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return {
        "README.md": f"{before}{BEGIN}\n{table(results, HEADLINE)}\n{END}{after}",
        "docs/results.md": f"{PAGE}{table(results, SHOWN)}\n",
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, content in pages((ROOT / "README.md").read_text(), read_results(ROOT / "bench" / "results")).items():
        (ROOT / name).write_text(content)


if __name__ == "__main__":
    main()
