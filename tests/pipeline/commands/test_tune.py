"""`facewarden tune`: labels in, YAML out that a run takes, and mistakes told in one sentence."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bench import chaos
from engines import ConfigError
from pipeline.commands.app import app
from pipeline.commands.tune import remarks, yaml_of
from pipeline.config import Config, EncodeSection, Step, load
from pipeline.live.dry_run import PacketClip
from pipeline.tuning.goals import Slo, read_truth
from pipeline.tuning.search import Tuner
from pipeline.wire import Head
from tests.pipeline.tuning.test_search import CONFIG, KNOBS, landscape

CLIP = PacketClip("clip.mp4", Head(width=64, height=64), (b"",) * 3)


def test_labels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    lines = ["file,frame,xmin,ymin,xmax,ymax", "a/clip.mp4,2,1,2,3,4", "clip.mp4,2,5,6,7,8", "clip.mp4,3,0,0,1,1"]
    path.write_text("\n".join([*lines, "other.mp4,0,0,0,1,1"]))

    truth = read_truth(path, [CLIP])

    assert np.array_equal(truth["clip.mp4"][2], [[1, 2, 3, 4], [5, 6, 7, 8]])
    assert list(truth["clip.mp4"]) == [2]  # the clip has three frames


@pytest.mark.parametrize("text", ["", "file,frame\nclip.mp4,0", "file,frame,xmin,ymin,xmax,ymax\nother.mp4,0,0,0,1,1"])
def test_labels_that_say_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)

    with pytest.raises(ConfigError, match=r"labels\.csv"):
        read_truth(path, [CLIP])


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
