"""The short form of `python -m bench.stalled`: bytes at rest stay bounded while workers stand, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

from bench.stalled import Stalled, make_noise, size_of


def test_bytes_at_rest_are_bounded_while_workers_stand(tmp_path: Path) -> None:
    stalled = Stalled(tmp_path, 12, 2000, backlog_mb=8, camera=False)

    code, numbers = stalled.go()

    assert code == 0, (tmp_path / "words").read_text()
    assert numbers == list(range(2000))
    assert (tmp_path / "clip.mp4").stat().st_size > 6 * (8 << 20)
    assert len(stalled.samples) > 8
    later = [size for at, size in stalled.samples if at > 6]
    assert max(later) == min(later), "it grew while nobody worked"
    assert stalled.most < 5 * (8 << 20)


def test_the_size_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "a").write_bytes(bytes(3))
    (tmp_path / "below" / "b").write_bytes(bytes(4))

    assert size_of(tmp_path) == 7


def test_noise_stays_large(tmp_path: Path) -> None:
    make_noise(tmp_path / "clip.mp4", 25)

    assert (tmp_path / "clip.mp4").stat().st_size > 25 * 20_000
