"""`facewarden tune`: YAML out that a run takes, and mistakes in one sentence."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from bench import chaos
from operators import detect
from pipeline.commands.app import app
from pipeline.commands.console import WRONG, console
from pipeline.commands.tune import _table, remarks, yaml_of
from pipeline.config import Config, EncodeSection, Step, load
from pipeline.live.dry_run import PacketClip
from pipeline.tuning.goals import Slo
from pipeline.tuning.knobs import knobs
from pipeline.tuning.search import Tuner
from pipeline.wire import Head
from tests.clips import Clips
from tests.pipeline.tuning.landscape import CONFIG, KNOBS, landscape

CLIP = PacketClip("clip.mp4", Head(width=64, height=64), (b"",) * 3)


def test_what_is_written_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"
    config = Config(
        steps=[Step(use="detect.centerface", engines={"detector": "centerface"}, options={"batch": 3})],
        encode=EncodeSection(options={"tune": "film"}),
        lookahead_ms=250,
    )

    path.write_text(yaml_of(config, ["a remark: with a colon"]))

    assert path.read_text().startswith("# a remark: with a colon\nsteps:\n")
    assert load(path) == config


def test_the_remarks_hold_the_figures() -> None:
    tuner = Tuner(CONFIG, KNOBS, landscape, Slo.parse(["recall=0.85"]))

    told = "\n".join(remarks(tuner, tuner.search(), [CLIP]))

    assert "recall 1.0000, at least 0.8987, 26.0 CPU-ms per frame" in told
    assert "max_px=960 batch=1" in told
    assert "clip.mp4" in told
    assert "inf" not in told and str(math.nan) not in told


def test_a_mistake_is_one_sentence(tmp_path: Path) -> None:
    clip, config = tmp_path / "clip.mp4", tmp_path / "zones.yaml"
    chaos.make_clip(clip, 30, gop=10)
    config.write_text("steps: [{use: detect.zones, options: {boxes: [[0, 0, 1, 1]]}}]")

    done = CliRunner().invoke(app, ["tune", str(config), str(clip), "-o", str(tmp_path / "out.yaml")])

    assert done.exit_code == 2
    assert "nothing to turn" in done.stderr
    assert not (tmp_path / "out.yaml").exists()


# -- what is written -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        Config(steps=[Step(use="track")]),
        Config(steps=[Step(use="x", options={"text": "a: 'b' #c \u2028 \"d\" \\ ä", "list": [1, 2.5, None, True]})]),
        Config(steps=[Step(use="x", engines={"a": "models/no: 1.onnx", "b": "- x"}), Step(use="y")], workers=3),
        Config(steps=[Step(use="x", options={"nested": {"a": [{"b": 1}]}})], delivery="low_latency", audio="drop"),
        Config(steps=[Step(use="x")], lookahead_ms=None),
    ],
    ids=["steps alone", "hostile words", "engines", "nested", "nothing where a default would be"],
)
def test_every_config_is_read_back_as_it_was(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"

    path.write_text(yaml_of(config, []))

    assert load(path) == config
    assert load(path).model_fields_set == config.model_fields_set  # what was left to defaults stays so


def test_a_step_has_a_line_for_engines_and_one_for_options() -> None:
    steps = [Step(use="a", engines={"e": "m"}, options={"x": 1}), Step(use="b", options={"y": 2}), Step(use="c")]

    written = yaml_of(Config(steps=steps, lookahead_ms=100), ["one", "two"])

    assert written.splitlines() == [
        "# one", "# two", "steps:", "  - use: a", '    engines: {"e": "m"}', '    options: {"x": 1}', "  - use: b",
        '    options: {"y": 2}', "  - use: c", "lookahead_ms: 100.0",
    ]  # fmt: skip


def test_the_remarks_by_hand() -> None:
    """A look at 960 px, a quarter of the area at 1920, costs 1 + 25 ms; at 1600 px 1 + 100 / 1.44."""
    tuner = Tuner(CONFIG, KNOBS, landscape, Slo.parse(["recall=0.85"]), wait_ms=250)
    best = tuner.search()

    asked, clips, this, before, most = remarks(tuner, best, [CLIP, PacketClip("b.mp4", CLIP.head, CLIP.packets)])

    assert asked == "Written by `facewarden tune` for recall 0.85, on 24 frames with 24 faces of"
    assert clips == "clip.mp4, b.mp4."
    assert this == (
        "this: recall 1.0000, at least 0.8987, 26.0 CPU-ms per frame, p99 276 ms with look-ahead, 38.5 fps per worker "
        "(max_px=960 batch=1)"
    )
    assert (
        before.startswith("before: recall 1.0000, at least 0.8987, 70.4 CPU-ms per frame") and "max_px=1600" in before
    )
    assert (
        most.startswith("most thorough: recall 1.0000, at least 0.8987, 101.0 CPU-ms per frame")
        and "max_px=1920" in most
    )


def test_the_table_of_what_was_tried(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Batches of 4 are refused, and have no row; the best comes first."""
    monkeypatch.setattr(console, "width", 200)
    (step, track) = CONFIG.steps
    config = Config(steps=[step.model_copy(update={"options": {"max_px": 1600, "batch": 2}}), track])
    tuner = Tuner(
        config, knobs(config, longest_px=1920), landscape, Slo.parse(["recall=0.85,latency_ms=300"]), wait_ms=250
    )
    tuner.search()

    console.print(_table(tuner))

    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    assert rows[0] == ["max_px=960 batch=2", "1.0000", "0.8987", "26.0", "276", "38.5", "-"]
    assert ["max_px=1920 batch=2", "1.0000", "0.8987", "101.0", "351", "9.9", "latency_ms"] in rows
    assert len(rows) == sum(score.frames > 0 for score in tuner.scores.values()) < len(tuner.scores)
    assert not [row for row in rows if "batch=4" in row[0]]


# -- the command -----------------------------------------------------------------------------------


def tune(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["tune", *map(str, arguments)])


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config with a detector that finds a face at once; one knob may be turned in it."""
    monkeypatch.setattr(detect, "__path__", [*detect.__path__, str(Path(__file__).parent / "detectors")])
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "drawn.yaml"
    steps = [{"use": "detect.drawn", "options": {"batch": 2}}, {"use": "track"}, {"use": "deidentify.cover"}]
    path.write_text(yaml.safe_dump({"steps": steps}))
    return path


def test_a_tuned_config_is_written_with_what_it_holds(drawn: Path, clips: Clips) -> None:
    done = tune(drawn, clips("h264_plain").path, "--frames", 24, "--slo", "cpu_ms=9999")

    assert done.exit_code == 0, done.output
    tuned = drawn.with_name("drawn_tuned.yaml")
    assert done.stdout.splitlines()[-1] == tuned.name
    first = tuned.read_text().splitlines()[0]
    assert (
        first.startswith("# Written by `facewarden tune` for recall 0.")
        and "cpu_ms 9999, on 24 frames with 24 " in first
    )
    made = load(tuned)
    assert [step.use for step in made.steps] == ["detect.drawn", "track", "deidentify.cover"]
    assert "batch=2" in done.stdout and "batch=1" in done.stdout


def test_a_short_clip_shows_no_recall(drawn: Path, clips: Clips) -> None:
    done = tune(drawn, clips("h264_plain").path, "--frames", 24, "--slo", "recall=0.9")

    assert done.exit_code == WRONG
    assert "--slo recall=0.9: these clips are too short to show it: with 1 sightings" in done.stderr
    assert not list(drawn.parent.glob("*_tuned.yaml"))


def test_where_nothing_holds_nothing_is_written(drawn: Path, clips: Clips) -> None:
    done = tune(drawn, clips("h264_plain").path, "--frames", 24, "--slo", "cpu_ms=0.0001")

    assert done.exit_code == WRONG
    assert "nothing that was tried holds what was asked for; nearest is batch=" in done.stderr
    assert "short of cpu_ms by " in done.stderr and "tried" in done.stdout  # the table is shown all the same
    assert not list(drawn.parent.glob("*_tuned.yaml"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--slo", "speed=3"], "--slo speed=3: expected one of recall, latency_ms, fps, cpu_ms"),
        (["--truth", "nowhere.csv"], "nowhere.csv: expected a CSV with file, frame, xmin"),
        (["no_such_clip.mp4"], "no_such_clip.mp4: no such file, folder or match"),
    ],
    ids=["a wish", "labels", "a clip"],
)
def test_mistakes_are_found_before_anything_is_tried(
    drawn: Path, clips: Clips, arguments: list[str], message: str
) -> None:
    done = tune(drawn, clips("h264_plain").path, "--frames", 24, *arguments)

    assert (done.exit_code, done.stdout) == (WRONG, "") and message in done.stderr


def test_a_config_that_is_there_is_not_overwritten_unasked(drawn: Path, clips: Clips) -> None:
    there = drawn.with_name("drawn_tuned.yaml")
    there.write_text("mine")

    done = tune(drawn, clips("h264_plain").path)

    assert done.exit_code == WRONG and "drawn_tuned.yaml: is there already; name another file" in done.stderr
    assert there.read_text() == "mine"


def test_two_clips_of_one_name(drawn: Path, clips: Clips) -> None:
    """Labels, which go by names, would be those of either."""
    for folder in ("a", "b"):
        (drawn.parent / folder).mkdir()
        shutil.copy(clips("h264_plain").path, drawn.parent / folder / "clip.mp4")

    done = tune(drawn, drawn.parent / "a", drawn.parent / "b", "--frames", 24)

    assert done.exit_code == WRONG and "clip.mp4: two clips of this name; rename one" in done.stderr


def test_too_few_frames_to_judge_by(drawn: Path, clips: Clips) -> None:
    done = tune(drawn, clips("h264_plain").path, "--frames", 23)

    assert done.exit_code == WRONG and "--frames" in done.stderr
