"""What a run hides is sealed with its frames, and comes back exactly, for whoever has key and keyring."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from engines import ConfigError, StreamError
from operators.arrays import Array
from operators.frame import Cover, Faces
from pipeline.brokers import SEALED, open_broker
from pipeline.config import Config, SealSection, Step
from pipeline.live.io_actor import IoActor
from pipeline.live.outputs import seal_file_of
from pipeline.live.seal_files import SealedPart, write_seals
from pipeline.live.sealer import NewestKeys, require_sealable, tracks_of
from pipeline.live.shown_frames import ShownFrames
from pipeline.live.sources import VideoSource
from pipeline.live.worker import Worker
from pipeline.sealing import RecoveryRefused
from pipeline.sealing.container import open_seals
from pipeline.sealing.keyring import destroy, rotate
from pipeline.sealing.keys import key_from_file
from pipeline.wire import Rational
from tests.clips import Clips
from tests.pipeline.live.sealed_streams import keys_in, recovered

ZONE = (0.25, 0.25, 0.75, 0.75)


@pytest.fixture
def seal(tmp_path: Path) -> SealSection:
    return keys_in(tmp_path)


def config(seal: SealSection) -> Config:
    zone = Step(use="detect.zones", options={"boxes": [ZONE]})
    return Config(steps=[zone, Step(use="track"), Step(use="deidentify.cover")], seal=seal)


def masked(folder: Path, source: Path, config: Config) -> Path:
    """What a run without Ray makes of a file."""
    url = f"sqlite://{folder}/facewarden.db"
    actor, worker, broker = IoActor(url, {}, config), Worker(url, {}, "group", "worker", config), open_broker(url)
    actor.ingest(VideoSource("clip", str(source), False, source.name))
    member = broker.member("group", "worker")
    while not worker.streams:
        worker.turn(member)
    while worker.streams:
        worker.turn(member)
    member.close()
    broker.close()
    (written,) = actor.write_file("clip", str(folder / "masked.mp4")).files
    return Path(written)


def planes(path: Path) -> list[Array]:
    """Luma, as it is stored, of each frame."""
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray())[: frame.height, : frame.width] for frame in container.decode(video=0)]


@pytest.mark.parametrize("tier", ["escrow", "proface_s"])
@pytest.mark.parametrize("clip", ["h264_open_gop", "variable_rate", "rotated", "hdr_10_bit"])
def test_what_was_hidden_comes_back(tmp_path: Path, clips: Clips, seal: SealSection, clip: str, tier: str) -> None:
    """Of escrow exactly."""
    source = clips(clip, with_face=True).path
    seal = seal.model_copy(update={"tier": tier, "weights_private": True})
    video = masked(tmp_path, source, config(seal))
    output = tmp_path / "recovered.mkv"
    recovered(video, seal, output)

    originals, hidden, back = planes(source), planes(video), planes(output)
    assert len(originals) == len(hidden) == len(back) > 20
    height, width = originals[0].shape
    zone = slice(height * 3 // 8, height * 5 // 8), slice(width * 3 // 8, width * 5 // 8)
    for original, cover, face in zip(originals, hidden, back, strict=True):
        if tier == "escrow":
            assert np.array_equal(face[zone], original[zone])
        assert decibels(face[zone], original[zone]) >= 35
        assert not np.array_equal(cover[zone], original[zone])
        assert np.array_equal(face[: height // 10], cover[: height // 10])


def decibels(one: Array, other: Array) -> float:
    top = 255 if one.dtype == np.uint8 else 1023
    return float(10 * np.log10(top**2 / max(np.mean((one.astype(float) - other.astype(float)) ** 2), 1e-6)))


def test_nothing_is_sealed_without_a_keyring(tmp_path: Path, clips: Clips) -> None:
    video = masked(tmp_path, clips("h264_plain").path, config(SealSection()))

    assert not seal_file_of(video).exists()
    assert open_broker(f"sqlite://{tmp_path}/facewarden.db").reader(SEALED, "clip").read(0.1) == []


def test_each_masked_frame_has_its_seals_and_a_second_call_finds_the_file(
    tmp_path: Path, clips: Clips, seal: SealSection
) -> None:
    video = masked(tmp_path, clips("h264_plain").path, config(seal))
    broker = open_broker(f"sqlite://{tmp_path}/facewarden.db")

    with open_seals(seal_file_of(video)) as seals:
        assert [entry.frame for entry in seals.entries] == list(range(len(planes(video))))
        assert seals.shown == [(0, len(planes(video)))]
    before = seal_file_of(video).read_bytes()

    def write(*, overwrite: bool = False) -> None:
        part = SealedPart(video, Rational(num=1, den=25), ShownFrames([(0, 0, len(planes(video)))], len(planes(video))))
        write_seals(broker, "clip", part, seal, overwrite=overwrite)

    write()

    assert seal_file_of(video).read_bytes() == before
    with video.open("ab") as file:
        file.write(b"another")
    with pytest.raises(StreamError, match="with the seals of another video"):
        write()
    assert seal_file_of(video).read_bytes() == before
    write(overwrite=True)
    assert seal_file_of(video).read_bytes() != before


def test_a_new_key_period_is_taken_up_and_a_destroyed_one_stops_it(seal: SealSection) -> None:
    keyring, sealer = Path(seal.keyring), NewestKeys(seal, "clip")
    first = sealer().period

    rotate(keyring, key_from_file(Path(seal.key_file)))
    second = sealer().period
    destroy(keyring, second, "a test")

    assert second == first + 1
    with pytest.raises(RecoveryRefused, match="was destroyed"):
        sealer()


@pytest.mark.parametrize(
    ("changes", "output", "says"),
    [
        ({"key_file": ""}, "a.mp4", "a key from key_file or from key_command"),
        ({"keyring": ""}, "a.mp4", "no keyring"),
        ({"keyring": "/nowhere"}, "a.mp4", "/nowhere"),
        ({}, "rtsp://server/live", "a push leaves no file"),
    ],
)
def test_what_cannot_be_sealed_is_refused_before_anything_starts(
    seal: SealSection, changes: dict[str, str], output: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        require_sealable(config(seal.model_copy(update=changes)), output)


def test_which_track_a_cover_hides() -> None:
    faces = Faces.of([[0, 0, 10, 10], [8, 0, 20, 10]], tracks=[3, 5])

    assert tracks_of([Cover((-2, -2, 12, 12)), Cover((6, -2, 22, 12)), Cover((50, 50, 60, 60))], faces) == [3, 5, -1]
    assert tracks_of([Cover((0, 0, 4, 4))], Faces.of([])) == [-1]
