"""Writes docs/results.md, and a dozen of it into the README, from `bench/results/*.json`: `python -m bench.results`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.bench_open import figure_of
from bench.hard_scenes import KINDS
from bench.leak_page import picture, section
from bench.report import read_report
from pipeline.provenance import FiguresReport, content_hash

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results: python -m bench.results -->", "<!-- end of results -->"


SHOWN = {
    **{
        name.format(size=size): words.format(size=size)
        for size in ("360p", "720p", "1080p", "2160p")
        for name, words in {
            "recall_ours_{size}_first": "faces in photos on a wall of {size}, found in their first frame after a cut",
            "recall_ours_{size}_later": "of these two seconds later",
            "recall_ours_{size}_new": "faces that appear in a picture that stands, found in their first frame, {size}",
            "recall_ours_{size}_new_later": "of these a second later",
            "recall_deface_{size}_first": "the same faces found by deface, {size}",
            "recall_gain_low_{size}_first": "ours above deface, first frame, lower end of the 95 % interval",
            "recall_gain_low_{size}_later": "the same two seconds later",
            "recall_gain_low_{size}_new": "the same where faces appear",
            "false_covers_ours_{size}_first": "covers on no labelled face for each photo, {size}",
            "false_covers_deface_{size}_first": "of deface",
        }.items()
    },
    "video_recall_ours": "faces hidden in video (face-frames covered), look-ahead of files",
    "video_recall_ours_live": "faces hidden in video, look-ahead of live streams",
    "video_recall_deface": "faces hidden in video by deface",
    "video_recall_gain_low_ours": "ours above deface, lower end of the 95 % interval over tracks, look-ahead of files",
    "video_recall_gain_low_ours_live": "the same, look-ahead of live streams",
    "video_recall_by_blazeface_ours": "faces hidden in video of those that BlazeFace, not used by us, has seen too",
    "video_recall_by_dlib_ours": "of those that dlib has seen too",
    "video_false_covers_ours": "covers a frame near no face",
    "video_false_covers_deface": "the same of deface",
    "video_false_area_ours": "part of the picture under such covers",
    "video_false_area_deface": "the same of deface",
    "video_weak_longest_s_ours": "longest life of a cover on no face that rests on one weak sighting, s",
    **{
        figure_of(kind, tool): words.format(kind=kind)
        for kind in KINDS
        for tool, words in (("ours", "face-frames more than half open, {kind}"), ("deface", "of these by deface"))
    },
    "leak_recall": "planted leaks that `facewarden verify` finds",
    "leak_recall_low": "the lower end of its 95 % interval",
    "false_alarm_share": "well-covered clips that it takes for leaking ones",
    "false_alarm_high": "the upper end of its 95 % interval",
    **{
        f"{name}_{tool}": words.format(tool=tool)
        for tool in ("ours", "deface", "openscrub", "open-redactor")
        for name, words in (
            ("clear", "face-frames in clear in what {tool} makes of the clips it takes, by `facewarden verify`"),
            ("reversible", "and face-frames that can be got back"),
        )
    },
    "rank1_none": "people found again in tracks (rank-1 among 500 or more) with no cover, by the best attacker",
    "rank1_none_faceres": "the same, by a second recogniser",
    "rank1_none_ridge": "the same, by ridge regression",
    "rank1_none_network": "the same, by a network that has learned on tracks",
    "rank1_none_cnn": "the same, by a recogniser trained further on tracks",
    "rank1_none_restored_dlib": "the same, by dlib, of what a restorer gives back",
    "rank1_worst_default": "people found again under our covers: the worst style, number of frames and attacker",
    "rank1_worst_default_high": "the upper end of its 95 % interval",
    "rank1_chance_worst_default": "what the best of so many attacks finds by chance, in 95 of 100 benches at most",
    "tar_worst_default": "people accepted under our covers at a FAR of 0.1 %: the worst of the same",
    "tar_worst_default_high": "the upper end of its 95 % interval",
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
    "blind_lossless_psnr_gain": "faces restored without a key, from lossless carriers, above the cover itself, dB",
    "blind_public_psnr_gain": "the same from carriers in the public, lossy video, dB",
    "blind_public_psnr_gain_high": "the upper end of its 95 % interval",
    "blind_public_cos_dlib_gain_high": "and of dlib's cosine with the clear face",
    "bench_reversible.psnr": "faces given back by the right key (PRO-Face S, small) through 8-bit carriers, dB",
    "bench_reversible.psnr_low": "the lower end of its 95 % interval",
    "bench_reversible.cover_psnr": "its carriers against their covers, dB",
    "bench_reversible.wrong_psnr_worst_of_all": "the best that any of 64 wrong keys gave back, dB",
    "bench_reversible.attack_floor_psnr": "what the covers alone show of the attacked faces, dB",
    "bench_reversible.blind_psnr_thorough": "faces restored without a key, from lossless carriers and the weights, dB",
    "bench_reversible.blind_lossy_psnr": "the same from carriers that went through H.264 at CRF 23, dB",
    "bench_reversible.h264_23_psnr": "what the right key gives back from these, dB",
    "escrow_cpu_ms_per_face": "sealing a face at 720p: CPU-ms, escrow",
    "proface_s_cpu_ms_per_face": "CPU-ms, PRO-Face S",
    "escrow_over_cover": "CPU of the whole pass with escrow seals over covers alone, 720p",
    "proface_s_over_cover": "with PRO-Face S seals over covers alone",
    "escrow_mb_per_face_minute": "seals of one face for a minute at 25 pictures a second: MB, escrow",
    "proface_s_mb_per_face_minute": "MB, PRO-Face S",
    "proface_s_db": "faces given back from PRO-Face S seals of that clip, dB in luma, mean",
    "proface_s_db_worst": "the worst of them",
    "ours_cpu_ms_720p": "CPU-ms per frame at 720p",
    "deface_over_ours_360p": "deface's CPU per frame over ours, 360p",
    "deface_over_ours_720p": "deface's CPU per frame over ours, 720p",
    "deface_over_ours_1080p": "deface's CPU per frame over ours, 1080p",
    "ours_over_codec_720p": "ours over bare decode + encode, 720p",
    "ours_over_codec_1080p": "ours over bare decode + encode, 1080p",
    "ours_over_codec_corridor": "ours over bare decode + encode, 720p, a corridor that is empty in 95 % of the frames",
    "ours_over_former_corridor": "ours over the former pass there",
    "carrying_cpu_ms_720p": "of it jail, broker, Ray and Python, above decode + encode, CPU-ms per frame at 720p",
    "speedup_of_2_workers_720p": "two streams on two workers, speed over one worker",
    "ours_peak_mb_1080p": "peak memory of a 1080p run in MB, all processes and Ray",
    "deface_peak_mb_1080p": "peak memory of deface at 1080p in MB",
    "single_stream_p90_ms_720p": "one camera at 720p, frame by frame: latency of 90 % of the frames in ms",
    "multi_stream_p99_ms_720p": "two cameras, frame by frame: latency of 99 % of the pairs in ms",
    "server_p99_ms_720p": "two cameras, frames coming by chance: latency of 99 % of the frames in ms",
    "offline_fps_720p": "frames per second of one worker, files at 720p",
    "offline_over_pass_floor_720p": "its CPU per frame, broker included, over bare decode + encode of the same clip",
    "offline_over_engine_floor_720p": "CPU in networks over a bare loop of ONNX Runtime",
    "added_p99_ms": "two live streams of 1080p30: added latency of 99 % of the frames in ms, look-ahead included",
    "lookahead_ms": "of it look-ahead",
    "encoder_alone_p99_ms": "of it encoding, alone",
    "added_unmasked": "frames of it that left unmasked",
    "overload_unmasked": "the same under overload",
    "overload_withheld": "frames withheld under overload",
    "forensics_side_by_side.auc": "live swaps that nobody trained on, against genuine faces: AUC of ACMF, by crops",
    "forensics_side_by_side.auc_low": "AUC of ACMF, lower end of the 95 % interval over people",
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
    "kills": "faults at random: processes killed, disks filled, clocks set, wires cut",
    "frames": "frames that were under way",
    "lost": "frames lost of these",
    "doubled": "frames doubled",
    "unmasked": "frames unmasked",
    "judged": "face-frames that `facewarden verify` sees in their sources",
    "leaking": "of these in clear, or to be got back",
    "replaced": "files replaced that were there before",
    "bench_sealed_chaos.kills": "such faults with seals on",
    "bench_sealed_chaos.masks_unsealed": "frames covered without their seals",
    "bench_sealed_chaos.seals_unmasked": "seals without their cover",
}
"""What docs/results.md reports, in this order; all other figures are in the files. A name that several of them have is
written with its file's name and a dot before it."""

HEADLINE = (
    "video_recall_ours",
    "video_recall_deface",
    "video_false_covers_ours",
    "video_false_covers_deface",
    "recall_ours_1080p_first",
    "recall_ours_1080p_later",
    "recall_ours_1080p_new",
    "recall_deface_1080p_first",
    "rank1_none",
    "rank1_worst_default",
    "rank1_worst_default_high",
    "ours_over_codec_720p",
    "ours_over_codec_corridor",
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
writes this page from `bench/results/*.json`. A report holds hashes of the code that its figures are about; where one of
these differs from the code of this checkout, the figure is marked "old" and the list says what has changed.

"""


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One file of results, the number that tables know it by, and what has changed of the code that it is about."""

    number: int
    stem: str
    report: FiguresReport

    changed: tuple[str, ...]

    @property
    def old(self) -> bool:
        """The code that it is about has changed since, or nobody noted which that is."""
        return bool(self.changed) or self.report.code is None

    @property
    def mark(self) -> str:
        """Its number, as it stands beside a figure."""
        return f"{self.number}, old" if self.old else str(self.number)

    @property
    def origin(self) -> str:
        """The command, commit and machine that gave it, and what has changed since."""
        seed = f", seed {self.report.seed}" if self.report.seed else ""
        said = f"`{self.report.command}` at {self.report.commit[:10]} on {self.report.machine}{seed}"
        if self.report.code is None:
            return f"{said}. **Old**: of which code is not noted"
        return f"{said}. **Old**: {_listed(self.changed)} changed since" if self.changed else said


def _listed(names: Sequence[str]) -> str:
    """Names in words, at most three of them.

    >>> _listed(["a", "b", "c"]), _listed(["a", "b", "c", "d"])
    ('`a`, `b` and `c` have', '`a`, `b` and 2 more have')
    >>> _listed(["a"])
    '`a` has'
    """
    *first, last = (f"`{name}`" for name in names)
    if len(first) > 2:
        first, last = first[:2], f"{len(names) - 2} more"
    return f"{', '.join(first)} and {last} have" if first else f"{last} has"


def read_results(folder: Path, root: Path = ROOT) -> list[ResultFile]:
    """All results, by the names of their files.

    Args:
        root: of the checkout whose code they are compared with.
    """
    found = []
    for number, file in enumerate(sorted(folder.glob("*.json")), 1):
        report = read_report(file)
        changed = tuple(name for name, then in (report.code or {}).items() if content_hash(root / name) != then)
        found.append(ResultFile(number, file.stem, report, changed))
    return found


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
        f"| {SHOWN[name]} | `{name.rpartition('.')[2]}` | {_short(value)} | {each.mark} |"
        for name, value, each in shown
    ]
    used = {each.number: each for _, _, each in shown}
    origins = [f"- {number}: {used[number].origin}" for number in sorted(used)]
    return "\n".join(["| what | figure | value | from |", "| --- | --- | ---: | --- |", *lines, "", *origins])


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def pages(readme: str, results: Sequence[ResultFile]) -> dict[str, str]:
    """By file: docs/results.md, the README with its table replaced, and the pictures that the results have."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    leaks = next((each.report for each in results if each.stem == "bench_leak"), None)
    drawn = picture(leaks) if leaks else ""
    return {
        "README.md": f"{before}{BEGIN}\n{table(results, HEADLINE)}\n{END}{after}",
        "docs/results.md": f"{PAGE}{table(results, SHOWN)}\n{section(leaks) if leaks else ''}",
        **({"docs/leak.svg": drawn} if drawn else {}),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, content in pages((ROOT / "README.md").read_text(), read_results(ROOT / "bench" / "results")).items():
        (ROOT / name).write_text(content)


if __name__ == "__main__":
    main()
