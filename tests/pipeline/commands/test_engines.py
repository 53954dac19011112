"""`facewarden engines`: networks are written, compared, listed and verified, and what differs is an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner, Result

from engines import open_engine
from engines.card import Card, Gate, Int8Calibration, Judged, Tolerance, read_card, write_card
from engines.files import sha256_of
from pipeline.commands.console import WRONG, console
from pipeline.commands.engines import FAILED, engines_app
from tests.engines.small_network import small_model, write_onnx
from tests.engines.test_precision import convolutional


def call(*arguments: object) -> Result:
    return CliRunner().invoke(engines_app, [str(argument) for argument in arguments])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache of models, with the small network in it."""
    monkeypatch.setenv("FACEWARDEN_CACHE", str(tmp_path))
    write_onnx(tmp_path)
    return tmp_path


def write_convolutional(folder: Path, **change: Any) -> Path:
    path = folder / "convolutional.onnx"
    onnx.save(convolutional(), path)
    card = Card(
        name="convolutional", task="test", licence="-", sha256=sha256_of(path.read_bytes()), source="-", **change
    )
    write_card(path, card)
    return path


def test_build_float16_with_its_card(cache: Path) -> None:
    """Drawn inputs are as large as pixels, so sums of 27 of them are rounded by a few units."""
    source = write_convolutional(cache, tolerance={"fp16": Tolerance(absolute=8, relative=0)})

    done = call("build", source, "--precision", "fp16")

    made = source.with_suffix(".fp16.onnx")
    assert done.exit_code == 0, done.output
    assert read_card(made).precision == "fp16"
    assert read_card(made).made_from == read_card(source).sha256
    assert call("verify", made).exit_code == 0
    assert call("parity", source, made).exit_code == 0
    assert open_engine(made)(x=np.zeros((2, 3, 8, 8), np.float32))["y"].shape == (2, 16, 8, 8)


def test_an_export_beyond_its_cards_tolerance_is_refused(cache: Path) -> None:
    source = write_convolutional(cache, tolerance={"fp16": Tolerance(absolute=1e-6, relative=0)})

    done = call("build", source, "--precision", "fp16")

    assert done.exit_code == WRONG
    assert "refused: expected outputs within 1e-06" in done.stderr
    assert not source.with_suffix(".fp16.onnx").exists()


def test_parity_of_networks_that_differ(cache: Path) -> None:
    other = small_model()
    other.graph.initializer[1].float_data[0] = 2
    (cache / "other").mkdir()

    done = call("parity", cache / "small.onnx", write_onnx(cache / "other", other))

    assert done.exit_code == FAILED
    assert "moved" in done.output
    assert "differs" in done.output


def test_parity_of_given_inputs(cache: Path) -> None:
    rows = np.ones((2, 3), np.float32)
    np.savez(cache / "inputs.npz", a=rows, b=rows)

    done = call("parity", cache / "small.onnx", cache / "small.onnx", "--inputs", cache / "inputs.npz")

    assert done.exit_code == 0, done.output


def test_list_and_verify(cache: Path) -> None:
    onnx.save(small_model(), cache / "stranger.onnx")

    listed, verified = call("list"), call("verify")

    assert "small.onnx" in listed.output
    assert verified.exit_code == FAILED
    assert "small.onnx: fine" in verified.output
    assert "stranger.onnx: no card" in verified.output.replace(f"{cache}/", "")


def test_no_name_is_taken_for_markup(cache: Path) -> None:
    """Neither in a table nor in a line."""
    odd = cache / "[bold]x[b].onnx"
    (cache / "small.onnx").rename(odd)

    for command in ("list", "verify"):
        assert odd.name in call(command).output

    model = small_model()
    model.graph.node[-1].output[0] = model.graph.output[1].name = "[bold]y[b]"
    assert "[bold]y[b]" in call("parity", *[write_onnx(cache, model)] * 2).output


def test_verify_a_changed_file(cache: Path) -> None:
    (cache / "small.onnx").write_bytes(convolutional().SerializeToString())

    done = call("verify", cache / "small.onnx")

    assert done.exit_code == FAILED
    assert "expected SHA-256" in done.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["build", "nobody"], "no model 'nobody'; known: centerface", id="unknown"),
        pytest.param(["build", "{}", "--precision", "int7"], "int7", id="precision"),
        pytest.param(["build", "{}", "--precision", "int8"], "its card has no calibration", id="no calibration"),
        pytest.param(["parity", "{}", "{}", "--inputs", "/nowhere.npz"], "expected an .npz", id="inputs"),
    ],
)
def test_mistakes_are_told(cache: Path, arguments: list[str], complaint: str) -> None:
    done = call(*(argument.format(cache / "small.onnx") for argument in arguments))

    assert done.exit_code == WRONG
    assert complaint in done.stderr


def test_int8_needs_pictures(cache: Path) -> None:
    gate = Gate(metric="recall", max_drop=0.005)
    calibration = Int8Calibration(data="a set", images=2, operator="detect.centerface", gate=gate)
    source = write_convolutional(cache, calibration=calibration)

    for arguments, complaint in (([], "the folder of 'a set'"), (["--pictures", cache], "expected boxes.csv")):
        done = call("build", source, "--precision", "int8", *arguments)
        assert done.exit_code == WRONG
        assert complaint in done.stderr


def test_at_its_own_precision_there_is_nothing_to_write(cache: Path) -> None:
    source = write_convolutional(cache)
    before = sorted(cache.iterdir())

    done = call("build", source)

    assert (done.exit_code, sorted(cache.iterdir())) == (0, before)
    assert done.stdout.startswith("no plan of it: ") and str(source) not in done.stdout


def rows(done: Result) -> list[list[str]]:
    lines = [line for line in done.stdout.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_the_list_of_a_folder(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is known of each; what lies in the cache is in another list."""
    monkeypatch.setattr(console, "width", 200)
    folder = cache / "folder"
    folder.mkdir()
    write_convolutional(folder, precision="fp16")
    onnx.save(small_model(), folder / "stranger.onnx")
    (folder / "convolutional.plan").touch()

    listed = rows(call("list", "--folder", folder))

    assert [row[:4] for row in listed] == [
        ["convolutional.onnx", "fp16", "0.0", "yes"],
        ["stranger.onnx", "?", "0.0", "-"],
    ]


def test_what_is_fine_is_verified_with_an_exit_code_of_0(cache: Path) -> None:
    write_convolutional(cache)

    done = call("verify")

    assert (done.exit_code, done.stdout) == (0, "convolutional.onnx: fine\nsmall.onnx: fine\n")


def test_a_card_that_is_damaged_is_a_fault_of_its_network_alone(cache: Path) -> None:
    write_convolutional(cache).with_suffix(".json").write_text("{}")

    done = call("verify")

    first, second = done.stdout.splitlines()
    assert done.exit_code == FAILED and second == "small.onnx: fine"
    assert first.startswith("convolutional.onnx: ") and "convolutional.json: " in first


def test_engines_that_agree_are_shown_by_output(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "width", 200)

    done = call("parity", cache / "small.onnx", cache / "small.onnx", "--seed", 3)

    assert done.exit_code == 0
    assert [[row[0], row[1], row[-1]] for row in rows(done)] == [["sum", "0", "agrees"], ["moved", "0", "agrees"]]
    assert done.stdout.splitlines()[-1] == "allowed: 0.0001 + 0.001 * |value|"


def twice(cache: Path, *, one: float = 1.0, **card: Any) -> list[Path]:
    """The small network at full precision, and as another says it is, with another subtrahend."""
    (cache / "other").mkdir()
    changed = small_model()
    changed.graph.initializer[1].float_data[0] = one
    files = [cache / "small.onnx", write_onnx(cache / "other", changed)]
    write_card(files[1], read_card(files[1]).model_copy(update=card))
    return files


@pytest.mark.parametrize("order", [1, -1], ids=["the finer first", "the coarser first"])
def test_int8_is_shown_with_what_it_was_judged_by(cache: Path, monkeypatch: pytest.MonkeyPatch, order: int) -> None:
    monkeypatch.setattr(console, "width", 200)
    gate = Gate(metric="recall at IoU 0.4", max_drop=0.005)
    judged = Judged(fp32=0.9251, int8=0.9231)
    calibration = Int8Calibration(data="a set", images=2, operator="detect.centerface", gate=gate, judged=judged)
    files = twice(cache, one=1.5, precision="int8", calibration=calibration)

    done = call("parity", *files[::order])

    assert done.exit_code == 0, done.output
    shown = [[row[0], row[1], *row[3:]] for row in rows(done)]
    assert shown == [["sum", "0", "-", "not judged"], ["moved", "0.5", "-", "not judged"]]
    assert done.stdout.splitlines()[-1] == (
        "allowed: none set for int8; it was judged by its gate, recall at IoU 0.4: 0.9251 in fp32, 0.9231 in int8, "
        "a drop of at most 0.005 allowed"
    )


def test_a_tolerance_for_int8_is_held_where_a_card_sets_one(cache: Path) -> None:
    files = twice(cache, one=1.5, precision="int8")
    allowed = {"int8": Tolerance(absolute=0.25, relative=0)}
    write_card(files[0], read_card(files[0]).model_copy(update={"tolerance": allowed}))

    done = call("parity", *files)

    assert done.exit_code == FAILED
    assert done.stdout.splitlines()[-1] == "allowed: 0.25 + 0 * |value|"


def test_without_a_tolerance_differences_are_shown_all_the_same(cache: Path) -> None:
    source = write_convolutional(cache, tolerance={"fp16": Tolerance(absolute=1, relative=0)})

    done = call("parity", source, source)

    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "allowed: none set for fp32"
    assert [row[-1] for row in rows(done)] == ["not judged"]


def test_inputs_that_are_no_arrays(cache: Path) -> None:
    file = cache / "inputs.npz"
    file.write_text("no arrays")

    done = call("parity", cache / "small.onnx", cache / "small.onnx", "--inputs", file)

    assert done.exit_code == WRONG and "inputs.npz: expected an .npz with an array for each input" in done.stderr
