"""The bench on networks of two nodes: everything is measured, and nothing but what was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bench.bench_forensics import beside_bare, files_of, measure, medians, operator_of, parts_of, picture, print_table
from engines import ConfigError
from engines.card import Card, write_card
from engines.files import sha256_of

SIZE, LENGTH = 32, 8
Shape = list[int | str]
Mean = tuple[str, str, list[int], bool]


def network(file: Path, given: tuple[str, Shape], means: list[Mean], outputs: dict[str, Shape]) -> Path:
    """A network that takes means, each of one tensor into another over some axes, which are kept or not."""
    nodes = [
        helper.make_node("ReduceMean", [source], [target], axes=axes, keepdims=int(kept))
        for source, target, axes, kept in means
    ]
    asked, *told = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (given, *outputs.items())
    )
    graph = helper.make_graph(nodes, "means", [asked], told)
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), file)
    write_card(file, Card(name="means", task="-", licence="-", sha256=sha256_of(file.read_bytes()), source="-"))
    return file


@pytest.fixture
def files(tmp_path: Path) -> dict[str, dict[str, Path]]:
    face: tuple[str, Shape] = ("face", ["n", 3, SIZE, SIZE])
    colour: Mean = ("face", "emb", [2, 3], False)
    return {
        "acmf": {
            "detector": network(
                tmp_path / "detector.onnx",
                face,
                [colour, ("emb", "fake_prob", [1], True), ("face", "cam_fake", [1], True)],
                {"fake_prob": ["n", 1], "cam_fake": ["n", 1, SIZE, SIZE]},
            )
        },
        "gazeforensics": {
            "frame": network(tmp_path / "frame.onnx", face, [colour], {"emb": ["n", 3]}),
            "clip": network(
                tmp_path / "clip.onnx",
                ("emb_seq", ["n", LENGTH, 3]),
                [("emb_seq", "mean", [1], False), ("mean", "fake_prob", [1], True)],
                {"fake_prob": ["n", 1]},
            ),
        },
    }


def test_figures_and_rows(files: dict[str, dict[str, Path]]) -> None:
    figures, rows = measure(files, batches=[1, 4], rounds=2, faces=2, frames=LENGTH, least_s=0)

    of_networks = ("acmf", "gazeforensics", "gazeforensics_frame", "gazeforensics_clip")
    ratios = {f"{name}_over_bare" for name in of_networks}
    parts = {f"{system}_{part}_ms" for system in files for part in ("whole", "network", "crop", "quality")}
    assert figures.keys() == ratios | parts
    assert all(value > 0 for value in figures.values())
    assert [row["batch"] for row in rows if row["what"] == "acmf"] == [1, 4]
    assert figures["acmf_over_bare"] == min(row["over_bare"] for row in rows if row["what"] == "acmf")
    frame, clip, both = (
        next(row["ours_ms"] for row in rows if (row["what"], row["batch"]) == (f"gazeforensics{name}", 4))
        for name in ("_frame", "_clip", "")
    )
    assert both == pytest.approx(frame + clip / 4)
    print_table(rows)


def test_both_are_asked_the_same(files: dict[str, dict[str, Path]]) -> None:
    bare, ours = beside_bare(files["acmf"]["detector"], 3, 3, least_s=0)

    assert 0.01 < bare / ours < 10


def test_calls_take_turns() -> None:
    told: list[str] = []

    medians(lambda: told.append("a"), lambda: told.append("b"), rounds=3, least_s=0)

    assert "".join(told) == "abbaabba"


@pytest.mark.parametrize(("system", "asked"), [("acmf", {"detector": 8}), ("gazeforensics", {"frame": 8, "clip": 1})])
def test_no_face_is_passed_over(files: dict[str, dict[str, Path]], system: str, asked: dict[str, int]) -> None:
    operator, calls, _ = operator_of(system, files[system])

    frames = operator([picture(3, index) for index in range(LENGTH)])

    assert {name: sum(map(len, noted.cpu_s.values())) for name, noted in calls.items()} == asked
    assert all(len(inputs) == 1 for noted in calls.values() for inputs in noted.samples.values())
    assert all(
        len(array) == 3 for noted in calls.values() for inputs in noted.samples.values() for array in inputs.values()
    )
    assert np.isfinite(frames[-1].faces.data[f"forged_{system}"]).all()


def test_the_parts_are_less_than_the_whole(files: dict[str, dict[str, Path]]) -> None:
    parts = parts_of("acmf", files["acmf"], faces=2, frames=4)

    assert parts["whole"] > parts["network"]


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="train first"):
        files_of([tmp_path])
