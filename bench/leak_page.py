"""The leak bench on paper: its table for docs/results.md, and its picture docs/leak.svg, from a report."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, log10

from bench.leak_figures import LeakRow
from pipeline.provenance import FiguresReport

COLOURS = ("#888888", "#c49c00", "#0b62a4", "#7a2fa0", "#111111", "#2a8f4f", "#d1495b", "#e07b00", "#5c4033")
WIDTH, HEIGHT, LEFT, TOP, SIDE = 900, 420, 60, 40, 320
LEAST_TAR = 1e-3
"""The picture's axes end here: both are logarithmic."""

SECTION = """
## What covers leave

Each line is a style; found again, accepted and parrot are the highest of all attackers, in % of {people} people with
the 95 % interval. The rest is what is left of use, against the same frames without a cover, after the same H.264: the
errors are over faces that MediaPipe still finds. `none` and `faint blur` are controls. By chance {chance:.1f} % are
found, and the best of the {attacks} attacks on our covers would find up to {best:.1f} % in 95 of 100 benches if there
were nothing to find. Styles without a line were not part of this run.

{table}

![Found by the strongest attacker](leak.svg)

No cover: how good the attackers are. One that finds less than half of the people is weak, and what it does not find
says little.

{attackers}
"""


def section(report: FiguresReport) -> str:
    """Markdown, empty for a report without these tables."""
    rows = [row for row in report.rows if "table" in row]
    if not rows:
        return ""
    numbers = report.numbers
    return SECTION.format(
        people=int(numbers["identities"]),
        chance=100 * numbers["rank1_chance"],
        attacks=int(numbers.get("attacks_on_defaults", 0)),
        best=100 * numbers.get("rank1_chance_worst_default", numbers["rank1_chance"]),
        table=_styles(rows),
        attackers=_attackers(rows),
    )


def _styles(rows: Sequence[LeakRow]) -> str:
    head = (
        "style", "found again", "by", "accepted at FAR 0.1 %", "parrot", "face still found", "points", "pose °",
        "gaze °", "expression", "PSNR dB", "SSIM", "flicker",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", f"| --- | ---: | --- |{' ---: |' * (len(head) - 3)}"]
    for used in (row for row in rows if row["table"] == "utility"):
        mine = [row for row in rows if row["table"] == "attacks" and row["style"] == used["style"]]
        best, taken = (max(mine, key=lambda row: row[name] or 0) for name in ("rank1", "tar"))
        parrot = max((row for row in mine if row["attacker"].startswith("parrot")), key=lambda row: row["rank1"])
        cells = [
            used["style"], _share(best, "rank1"), f"{best['attacker']}, {best['frames']} frames", _share(taken, "tar"),
            _share(parrot, "rank1"), _number(used["centerface"], "{:.0%}"), _number(used["points"], "{:.3f}"),
            _number(used["pose"], "{:.1f}"), _number(used["gaze"], "{:.1f}"), _number(used["expression"], "{:.3f}"),
            _number(used["psnr"], "{:.1f}"), _number(used["ssim"], "{:.2f}"), _number(used["flicker"], "{:.1f}"),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _attackers(rows: Sequence[LeakRow]) -> str:
    lines = ["| attacker | found without a cover | under a faint blur | |", "| --- | ---: | ---: | --- |"]
    faint = {row["attacker"]: row for row in rows if row["table"] == "attacks" and row["style"] == "faint blur"}
    for row in rows:
        if row["table"] == "attacks" and row["style"] == "none":
            other = faint.get(row["attacker"])
            second = _share(other, "rank1") if other else ""
            lines.append(f"| {row['attacker']} | {_share(row, 'rank1')} | {second} | {'weak' if row['weak'] else ''} |")
    return "\n".join(lines)


def _share(row: LeakRow, name: str) -> str:
    """In %, with its interval.

    >>> _share({"tar": 0.1, "tar_low": 0.05, "tar_high": 0.2}, "tar")
    '10.0 (5.0-20.0)'
    """
    if row[name] is None:
        return ""
    return f"{100 * row[name]:.1f} ({100 * row[f'{name}_low']:.1f}-{100 * row[f'{name}_high']:.1f})"


def _number(value: float | None, form: str) -> str:
    return "" if value is None or not isfinite(value) else form.format(value)


# -- the picture -----------------------------------------------------------------------------------


def picture(report: FiguresReport) -> str:
    """SVG of two panels, of the strongest attack on each style: TAR over FAR, rank-1 over the size of the gallery."""
    curves = [row for row in report.rows if row.get("table") == "curves" and row["style"] != "around"]
    if not curves:
        return ""
    second = LEFT + SIDE + 90
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 30}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT + 30}" fill="#ffffff"/>',
        *_axes(
            LEFT, "FAR", "accepted (TAR)", [(1e-4, "0.01 %"), (1e-3, "0.1 %"), (1e-2, "1 %"), (0.1, "10 %"), (1, "")]
        ),
        *_axes(second, "people in the gallery", "found (rank-1)", [(size, str(size)) for size in (10, 50, 100, 500)]),
    ]
    for row, colour in zip(curves, COLOURS, strict=False):
        far = [(x, y) for x, y in zip(row["far"], row["tar"], strict=True) if y is not None]
        parts.append(_line([(_x(LEFT, x, 1e-4, 1), _y(y)) for x, y in far], colour))
        sizes = list(zip(row["sizes"], row["rank1"], strict=True))
        parts.append(_line([(_x(second, x, 10, 500), _y(y)) for x, y in sizes], colour))
    chance = [(1e-4, 1e-4), (1, 1)]
    parts.append(_line([(_x(LEFT, x, 1e-4, 1), _y(y)) for x, y in chance], "#000000", dashed=True))
    by_size = [(_x(second, n, 10, 500), _y(1 / n)) for n in (10, 25, 50, 100, 250, 500)]
    parts.append(_line(by_size, "#000000", dashed=True))
    for number, (row, colour) in enumerate(zip(curves, COLOURS, strict=False)):
        x, y = LEFT + number % 5 * 165, TOP + SIDE + 60 + number // 5 * 18
        name = f"{row['style']} ({row['attacker']})"
        parts.append(f'<text x="{x}" y="{y}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _axes(left: int, across: str, up: str, ticks: Sequence[tuple[float, str]]) -> list[str]:
    low, high = ticks[0][0], ticks[-1][0]
    parts = [f'<rect x="{left}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#999999"/>']
    for value, label in ticks:
        x = _x(left, value, low, high)
        parts.append(f'<text x="{x:.1f}" y="{TOP + SIDE + 16}" text-anchor="middle">{label}</text>')
    for value, label in ((1.0, "100 %"), (0.1, "10 %"), (0.01, "1 %"), (0.001, "0.1 %")):
        y = _y(value)
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + SIDE}" y2="{y:.1f}" stroke="#eeeeee"/>')
    parts.append(f'<text x="{left + SIDE / 2}" y="{TOP + SIDE + 34}" text-anchor="middle">{across}</text>')
    parts.append(f'<text x="{left}" y="{TOP - 12}">{up}, strongest attacker; dashed: chance</text>')
    return parts


def _x(left: int, value: float, low: float, high: float) -> float:
    """Where a value lies on a logarithmic axis.

    >>> _x(0, 10, 1, 100)
    160.0
    """
    return left + SIDE * (log10(value) - log10(low)) / (log10(high) - log10(low))


def _y(value: float) -> float:
    return TOP + SIDE * log10(max(value, LEAST_TAR)) / log10(LEAST_TAR)


def _line(points: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False) -> str:
    where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    style = ' stroke-dasharray="4 4"' if dashed else ""
    return f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="{1 if dashed else 2}"{style}/>'
