"""How many planted leaks `verify` finds, and how often it cries wolf: `python -m bench.bench_verify`.

Each clip is made twice from one original: with one slip (see `planted.LEAKS`), and without it. A leak counts as found
where the outcome is that of leaks, and a sure face is said to be exposed within a frame of where it was. A false alarm
is any other outcome than "covered" for the clip without a slip. A third of the clips also lose frames, double some, or
come out smaller. Heads of even rank tuned the thresholds; those of odd rank are reported (`--half 1`, the default), in
other rooms, on other paths. Intervals are Clopper and Pearson's, 95 %.

`--tool NAME=COMMAND` judges what other tools make of the clips in FACEWARDEN_DATA/videos instead: COMMAND holds
{source} and {target}. `--tool ours` and `--tool deface` know their commands. For two others of the package index, each
in an environment of its own:

    --tool "openscrub=/env/bin/openscrub {source} -o {target} --dense-faces --overwrite"
    --tool "open-redactor=/env/bin/open-redactor {source} --output {target} --provider yunet --backend local"
"""

from __future__ import annotations

import argparse
import multiprocessing
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import beta

from bench.data import data_folder
from bench.planted import LEAKS, Heads, PlantedClip, planted_clip, written
from engines import FacewardenError
from pipeline.judging.document import judge
from pipeline.judging.judge import OriginalFaces, find_faces
from pipeline.judging.panel import MODELS, JudgePanel
from pipeline.judging.report import JudgingReport
from pipeline.models.fetch import pull
from pipeline.provenance import write_report

CLIPS, FRAMES = 300, 20
SLACK_FRAMES = 1
"""A frame is said to leak by so many more or fewer, where frames were dropped or doubled."""
TOOL_TIMEOUT_S = 1800
KNOWN_TOOLS = {
    "ours": f"{sys.executable} -m pipeline run {{source}} -o {{target}}",
    "deface": f"{Path(sys.executable).with_name('deface')} {{source}} -o {{target}}",
}


def interval(hits: int, cases: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share.

    >>> interval(0, 10)[0], round(interval(10, 10)[0], 3)
    (0.0, 0.692)
    """
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, cases - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, cases - hits)) if hits < cases else 1.0
    return low, high


def found(report: JudgingReport, clip: PlantedClip) -> bool:
    """The leak of a clip was found, where it is."""
    spans = [(span.from_frame, span.to_frame) for each in report.tracks if each.sure for span in each.spans]
    near = any(
        first - SLACK_FRAMES <= frame <= last + SLACK_FRAMES for first, last in spans for frame in clip.frames
    )  # fmt: skip
    return report.outcome == "leaks" and near


def judged_clip(half: int, number: int) -> dict[str, Any]:
    """One row: what came of one clip and its twin."""
    cv2.setNumThreads(1)
    clip = planted_clip(Heads(half), number, half, frames=FRAMES)
    with tempfile.TemporaryDirectory() as folder, JudgePanel() as panel:
        files = written(clip, Path(folder), half)
        began = time.process_time()
        faces = find_faces(files["original"], panel)
        leaking, covered = (
            judge(files["original"], files[name], panel=panel, faces=faces)[0] for name in ("leaking", "covered")
        )
        spent_s = time.process_time() - began
    height, width = clip.original[0].shape[:2]
    return {
        "clip": number, "leak": clip.leak, "cover": clip.cover, "face px": round(clip.px), "size": f"{width}x{height}",
        "found": found(leaking, clip), "said": leaking.words, "alarm": covered.outcome != "covered",
        "said of the twin": covered.words, "judge CPU-ms a frame": 1000 * spent_s / (2 * FRAMES),
    }  # fmt: skip


def summarize(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table: for each kind of leak, and all."""
    made = []
    for kind in (*LEAKS, "all"):
        mine = [row for row in rows if kind in (row["leak"], "all")]
        if not mine:
            continue
        hits, alarms = sum(row["found"] for row in mine), sum(row["alarm"] for row in mine)
        low, high = interval(hits, len(mine))
        alarm_low, alarm_high = interval(alarms, len(mine))
        made.append(
            {
                "leak": kind,
                "clips": len(mine),
                "found": hits,
                "share": hits / len(mine),
                "low": low,
                "high": high,
                "false alarms": alarms,
                "alarm share": alarms / len(mine),
                "alarm low": alarm_low,
                "alarm high": alarm_high,
            }
        )
    return made


# -- other tools -------------------------------------------------------------------------------------


def masked_by(command: str, source: Path, target: Path) -> str:
    """Runs a tool; why it gave nothing, or nothing."""
    arguments = [part.format(source=source, target=target) for part in shlex.split(command)]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if target.is_file():
        return ""
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def judged_tools(tools: dict[str, str], clips: Sequence[Path], folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each tool and clip."""
    cv2.setNumThreads(1)
    with JudgePanel() as panel:
        for clip in clips:
            faces: OriginalFaces | None = None
            for name, command in tools.items():
                target = folder / f"{name}-{clip.stem}.mp4"
                row: dict[str, Any] = {"tool": name, "clip": clip.name}
                failed = masked_by(command, clip, target)
                try:
                    if failed:
                        raise FacewardenError(failed)
                    faces = faces or find_faces(clip, panel)
                    report, _ = judge(clip, target, panel=panel, faces=faces)
                except FacewardenError as error:
                    yield {**row, "outcome": f"not judged: {error}"}
                    continue
                sure = [each for each in report.tracks if each.sure]
                yield {
                    **row, "outcome": report.outcome, "faces": len(sure), "face-frames": report.face_frames,
                    "clear": report.clear, "reversible": report.reversible,
                    "faces in clear": sum(each.verdict == "clear" for each in sure),
                    "faces reversible": sum(each.verdict == "reversible" for each in sure),
                }  # fmt: skip


def tool_totals(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The table of tools: sums over the clips that were judged."""
    totals = []
    for name in dict.fromkeys(row["tool"] for row in rows):
        mine = [row for row in rows if row["tool"] == name and "faces" in row]
        sums = {
            key: sum(row[key] for row in mine)
            for key in ("faces", "faces in clear", "faces reversible", "face-frames", "clear", "reversible")
        }
        left_out = sum(row["tool"] == name for row in rows) - len(mine)
        totals.append({"tool": name, "clips": len(mine), "not judged": left_out, **sums})
    return totals


# -- the report --------------------------------------------------------------------------------------


def print_rows(rows: Sequence[dict[str, Any]], title: str) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(*names, title=title)
    for row in rows:
        table.add_row(*(f"{row[n]:.3f}" if isinstance(row.get(n), float) else str(row.get(n, "")) for n in names))
    Console(width=max(Console().width, 140)).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--half", type=int, choices=(0, 1), default=1, help="of the heads; 0 tuned the thresholds")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tool", action="append", default=[], help="NAME=COMMAND, ours or deface: judge tools instead")
    parser.add_argument("--videos", nargs="*", help="names of clips in FACEWARDEN_DATA/videos, for --tool")
    given = parser.parse_args()
    pull([*MODELS, "centerface"])
    if given.tool:
        _bench_tools(given)
        return
    numbers = range(given.clips)
    with ProcessPoolExecutor(given.workers, multiprocessing.get_context("spawn")) as pool:
        results = pool.map(partial(judged_clip, given.half), numbers)
        rows = list(track(results, "judging", total=len(numbers), console=Console(stderr=True)))
    table = summarize(rows)
    print_rows(table, f"{len(rows)} planted leaks and their well-covered twins")
    print_rows([row for row in rows if row["alarm"] or not row["found"]], "what went wrong")
    last, costs = table[-1], [row["judge CPU-ms a frame"] for row in rows if row["size"] == "1280x720"]
    figures = {
        "leak_recall": last["share"], "leak_recall_low": last["low"], "false_alarm_share": last["alarm share"],
        "false_alarm_high": last["alarm high"], "clips": len(rows),
    }  # fmt: skip
    if costs:
        figures["judge_720p_ms"] = sum(costs) / len(costs)
    write_report(given.json, figures, [*table, *rows], given.half)


def _bench_tools(given: argparse.Namespace) -> None:
    tools = {}
    for tool in given.tool:
        name, _, command = tool.partition("=")
        tools[name] = command or KNOWN_TOOLS[name]
    videos = data_folder() / "videos"
    names = given.videos or sorted(path.name for path in videos.iterdir())
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for row in judged_tools(tools, [videos / name for name in names], Path(folder)):
            print(row, file=sys.stderr, flush=True)
            rows.append(row)
    totals = tool_totals(rows)
    print_rows(rows, "clip by clip")
    print_rows(totals, "what an independent judge says of each tool")
    figures = {f"clear_{row['tool']}": row["clear"] / max(row["face-frames"], 1) for row in totals}
    figures |= {f"reversible_{row['tool']}": row["reversible"] / max(row["face-frames"], 1) for row in totals}
    write_report(given.json, figures, [*totals, *rows])


if __name__ == "__main__":
    main()
