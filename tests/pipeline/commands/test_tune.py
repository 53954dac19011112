"""`facewarden tune`: YAML out that a run takes, and mistakes in one sentence."""

from __future__ import annotations

import math
from pathlib import Path

from typer.testing import CliRunner

from bench import chaos
from pipeline.commands.app import app
from pipeline.commands.tune import remarks, yaml_of
from pipeline.config import Config, EncodeSection, Step, load
from pipeline.live.dry_run import PacketClip
from pipeline.tuning.goals import Slo
from pipeline.tuning.search import Tuner
from pipeline.wire import Head
from tests.pipeline.tuning.landscape import CONFIG, KNOBS, landscape

CLIP = PacketClip("clip.mp4", Head(width=64, height=64), (b"",) * 3)


def test_what_is_written_can_be_loaded(tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"
    config = Config(
        steps=[Step(use="detect.centerface", engines={"detector": "centerface"}, options={"every": 3})],
        encode=EncodeSection(options={"tune": "film"}),
        lookahead_ms=250,
    )

    path.write_text(yaml_of(config, ["a remark: with a colon"]))

    assert path.read_text().startswith("# a remark: with a colon\nsteps:\n")
    assert load(path) == config


def test_the_remarks_hold_the_figures() -> None:
    tuner = Tuner(CONFIG, KNOBS, landscape, Slo.parse(["recall=1"]))

    told = "\n".join(remarks(tuner, tuner.search(), [CLIP]))

    assert "recall 1.0000, 9.3 CPU-ms per frame" in told
    assert "every=3 max_px=960" in told
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
