"""Each scenario lets every frame through the real worker, on a clip so small that it takes a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import chaos
from bench.clips import camera_clip
from bench.floors import Calls, Codec, Recorded, broker_floor, codec_floor, encode_times_ms
from bench.scenarios import SCENARIOS, WARM_UP, figures_of, measure, row_of, table_of
from pipeline.config import Config, EncodeSection, Step
from pipeline.live.dry_run import PacketClip, read_clip

FRAMES, STREAMS = 24, 2
CONFIG = Config(
    steps=[
        Step(use="detect.zones", options={"boxes": [[0.5, 0.5, 1, 1]]}),
        Step(use="track"),
        Step(use="deidentify.cover"),
    ]
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    chaos.make_clip(folder / "clip.mp4", 10, gop=5)
    camera_clip(folder / "clip.mp4", folder / "camera.mp4", frames=FRAMES)
    return folder / "camera.mp4"


@pytest.fixture(scope="module")
def clip(path: Path) -> PacketClip:
    return read_clip(path, frames=FRAMES)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_frame_comes_out_and_is_counted(clip: PacketClip, scenario: str) -> None:
    result = measure(scenario, CONFIG, clip, streams=STREAMS, rate=400, seed=1)

    streams = 1 if scenario == "single-stream" else STREAMS
    counted = {"offline": FRAMES * STREAMS}.get(scenario, (FRAMES - WARM_UP) * streams)
    queries = {"offline": 0, "server": counted}.get(scenario, FRAMES - WARM_UP)
    assert (result.frames, len(result.latencies_ms)) == (counted, queries)
    assert min(result.latencies_ms, default=1) > 0
    assert {"decode", "encode", "paint"} <= result.stages.keys()

    row = row_of("tiny", result, Codec(1.0, 2.0), 0.1)
    assert row["cpu_ms"] == pytest.approx(3 * row["over_pass_floor"])
    assert f"{scenario.replace('-', '_')}_fps_tiny" in figures_of([row])
    assert table_of([row]).row_count > 10


def test_floors(path: Path, clip: PacketClip) -> None:
    codec = codec_floor(path, EncodeSection(), low_latency=True)

    assert codec.both_ms >= codec.encode_ms > 0
    assert len(encode_times_ms(path, EncodeSection(), frames=7)) == 7
    assert broker_floor(clip.packets, clip.packets) > 0


def test_calls_are_noted_by_their_shapes() -> None:
    calls = Calls(Path("double.onnx"))
    engine = Recorded(lambda **inputs: {"y": 2 * inputs["x"]}, calls)

    for rows in (1, 3, 3):
        assert engine(x=np.ones((rows, 2)))["y"].shape == (rows, 2)

    assert {shapes: len(spent) for shapes, spent in calls.cpu_s.items()} == {(("x", (1, 2)),): 1, (("x", (3, 2)),): 2}
    calls.reset()
    assert calls.total_s == 0
    assert len(calls.samples) == 2
