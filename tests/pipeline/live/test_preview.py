"""The preview shows what leaves, and nothing else."""

from __future__ import annotations

from pathlib import Path

from bench import chaos
from pipeline.live.preview import masked_pictures
from tests.pipeline.live.test_stream import FRAMES, STREAM, config, take_in, work


def test_it_shows_all_masked_pictures(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    chaos.make_clip(clip, FRAMES, gop=20)
    url, broker = take_in(tmp_path, clip, config("transactional"))
    work(url, config("transactional"))

    pictures = list(masked_pictures(broker, STREAM))

    x1, y1, x2, y2 = chaos.SQUARE
    assert len(pictures) == FRAMES
    assert max(int(picture[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].max()) for picture in pictures) < 90
    broker.close()
