"""How pictures are shown: found in the source whatever comes before, kept by the result, and known of each picture."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from operators.shown import UNIT, Shown
from pipeline.jail.parent import JailLimits
from pipeline.media import Decoded, Demuxer, Encoder, FileMuxer, demuxer_child, masked_head
from pipeline.media.shown import PictureGeometry, head_as_shown, is_plausible, message_of, of_head
from pipeline.wire import Head, Packet, Rational, ShownMessage, StreamRecord
from tests.clips import h264, write
from tests.pipeline.media.passing import decode, demux, frames

MIRROR = Shown.turned(0, mirrored=True)
EVERY_WAY = [Shown.turned(degrees, mirrored=mirrored) for degrees in (0, 90, 180, 270) for mirrored in (False, True)]


def clip(path: Path, prepare: Callable[[Any], None], *, count: int = 4, **settings: Any) -> Path:
    return write(path, None, prepare=prepare, **{**h264(count), **settings}).path


def looking(shown: Shown) -> Callable[[Any], None]:
    def prepare(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = shown.sample_aspect
        if shown.matrix:
            stream.set_display_matrix(shown.matrix)

    return prepare


def result_of(path: Path, out: Path, *, stated: Rational | None = None) -> Path:
    """The file encoded again, frame by frame, as a run does it; `stated` is what its container says of its samples."""
    head, packets = demux(path)
    encoder, made = None, list[Packet]()
    for number, (_, picture) in enumerate(frames(head, packets)):
        encoder = encoder or Encoder(head, picture.format, picture.width, picture.height)
        made += encoder.encode(picture, number * 3600, 3600)
    assert encoder is not None
    made_head = masked_head(head, encoder)
    made_head.shown.sample_aspect.CopyFrom(stated or made_head.shown.sample_aspect)
    with FileMuxer(out, made_head) as muxer:
        for packet in made + encoder.flush():
            muxer.write(packet)
    return out


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(4), Fraction(1, 4), Fraction(45, 44)])
def test_a_result_keeps_matrix_and_aspect(tmp_path: Path, suffix: str, aspect: Fraction) -> None:
    shown = Shown(Shown.turned(90, mirrored=True).matrix, aspect)
    source = clip(tmp_path / "source.mp4", looking(shown))

    result = result_of(source, tmp_path / f"made.{suffix}")

    assert of_head(demux(source)[0]) == shown
    assert of_head(demux(result)[0]) == shown
    with av.open(str(result)) as container:
        assert container.streams.video[0].sample_aspect_ratio == aspect


@pytest.mark.parametrize("shown", EVERY_WAY, ids=str)
def test_every_turn_and_mirror(tmp_path: Path, shown: Shown) -> None:
    result = result_of(clip(tmp_path / "source.mp4", looking(shown)), tmp_path / "made.mkv")

    made = of_head(demux(result)[0])
    assert (made.turns, made.mirrored) == (shown.turns, shown.mirrored)


def test_the_aspect_of_the_container_goes_before_that_of_the_codec(tmp_path: Path) -> None:
    """Remuxed under another aspect: the pictures themselves still say 4:3."""
    plain = clip(tmp_path / "plain.mp4", looking(Shown(sample_aspect=Fraction(4, 3))))
    result_of(plain, tmp_path / "other.mp4", stated=Rational(num=16, den=11))

    read, packets = demux(tmp_path / "other.mp4")

    assert (of_head(read).sample_aspect, read.shown.coded_aspect) == (Fraction(16, 11), Rational(num=4, den=3))
    assert {item.shown.sample_aspect for item in decode(read, packets) if isinstance(item, Decoded)} == {
        Fraction(16, 11)
    }


@pytest.mark.parametrize("packet_ms", [5, 20])
def test_pictures_may_come_after_any_number_of_packets_of_sound(tmp_path: Path, packet_ms: int) -> None:
    path = clip(tmp_path / "plain.mp4", looking(Shown.turned(90)))
    late = tmp_path / "late.mp4"
    head, packets = demux(path)
    with av.open(str(path)) as source, av.open(str(late), "w") as file:
        video = file.add_stream_from_template(source.streams.video[0], opaque=True)
        video.set_display_matrix(head.shown.matrix)
        sound: Any = file.add_stream("libopus", rate=48000, layout="mono")
        sound.options = {"frame_duration": str(packet_ms)}
        sound.codec_context.format = "s16"
        sound.codec_context.open()
        samples = np.zeros((1, sound.codec_context.frame_size), np.int16)
        for number in range(150):
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48000, number * samples.shape[1]
            file.mux(sound.encode(frame))
        for packet in source.demux(video=0):
            if packet.dts is not None:
                base = packet.time_base
                packet.stream, moved = video, int(150 * packet_ms / 1000 / base)
                packet.pts, packet.dts = (packet.pts or 0) + moved, packet.dts + moved
                file.mux(packet)

    read, packets = demux(late)

    first = next(number for number, packet in enumerate(packets) if packet.track == 0)
    assert first > 64
    assert of_head(read) == Shown.turned(90)


def test_what_shows_nothing_for_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keyframe is gone: nothing can be decoded, and there is no end to be waited for."""
    path = clip(tmp_path / "plain.mp4", looking(Shown.turned(90)), count=40)
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        packets = (packet for packet in list(container.demux(video))[1:] if packet.size)
        monkeypatch.setattr(demuxer_child, "_LOOK_AHEAD_BYTES", 300)
        with pytest.raises(demuxer_child.Refused, match="how it is to be shown is not known"):
            demuxer_child._look_ahead(packets, video, 9.0, live=False)


def test_pictures_that_come_out_late_keep_their_own_aspect(tmp_path: Path) -> None:
    """Each part ends with pictures that the decoder still holds when it reads the next part's parameters."""
    parts = [(Fraction(1), (192, 144)), (Fraction(2), (96, 144)), (Fraction(1), (192, 144)), (Fraction(3), (192, 144))]
    joined = tmp_path / "joined.ts"
    with joined.open("wb") as file:
        for number, (aspect, size) in enumerate(parts):
            part = tmp_path / f"{number}.ts"
            write(
                *(part, None),
                **h264(10, bframes=2, b_adapt=0),
                size=size,
                clock=lambda i, number=number: 10 * number + i,  # type: ignore[misc]
                prepare=looking(Shown(sample_aspect=aspect)),
            )
            file.write(part.read_bytes())

    head, packets = demux(joined)
    pictures = [item for item in decode(head, packets) if isinstance(item, Decoded)]

    seen = [(item.shown.sample_aspect, (item.picture.width, item.picture.height)) for item in pictures]
    assert seen == [part for part in parts for _ in range(10)]


def geometry(aspect: int = 0, coded: int = 0, said: Shown | None = None) -> PictureGeometry:
    stated = ShownMessage() if said is None else message_of(said)
    if said is None:
        stated.sample_aspect.CopyFrom(Rational(num=aspect, den=1 if aspect else 0))
    stated.coded_aspect.CopyFrom(Rational(num=coded, den=1 if coded else 0))
    return PictureGeometry(Head(shown=stated))


@pytest.mark.parametrize(
    ("stated", "coded", "said", "counts"),
    [
        pytest.param(0, 0, 0, 1, id="nobody says anything"),
        pytest.param(2, 2, 2, 2, id="both say the same"),
        pytest.param(3, 2, 2, 3, id="the container goes before the codec"),
        pytest.param(3, 2, 4, 4, id="but not before what changes in the middle"),
        pytest.param(3, 0, 2, 3, id="the codec spoke late"),
        pytest.param(0, 0, 2, 2, id="a camera, of which only pictures say it"),
        pytest.param(3, 2, 0, 3, id="a picture that says nothing"),
    ],
)
def test_the_aspect_of_a_picture(stated: int, coded: int, said: int, counts: int) -> None:
    assert geometry(stated, coded).of_picture((), Fraction(said)).sample_aspect == counts


def test_a_matrix_within_a_picture_goes_before_that_of_the_container() -> None:
    stated = geometry(said=Shown(Shown.turned(90).matrix, Fraction(1), "bottom", True))

    plain, other = (stated.of_picture(matrix, Fraction(0)) for matrix in ((), MIRROR.matrix))

    assert plain == Shown(Shown.turned(90).matrix, Fraction(1), "bottom", True)
    assert other == Shown(MIRROR.matrix, Fraction(1), "bottom", True)
    assert stated.of_picture((), Fraction(0)) is plain


def test_pictures_that_change_with_each_other_are_not_all_remembered() -> None:
    stated = geometry()

    for number in range(300):
        stated.of_picture((number, 1, 0, 0, 1, 0, 0, 0, UNIT), Fraction(0))

    assert len(stated._known) <= 66


def test_a_turn_that_only_the_decoder_can_see_is_known_of_each_picture(tmp_path: Path) -> None:
    """A camera that was turned sends it within its pictures."""
    path = clip(tmp_path / "camera.mp4", looking(Shown.turned(0)), count=2)
    head, packets = demux(path)
    for packet in packets:
        packet.data = _display_orientation(quarters=3) + packet.data

    came = [item for item in decode(head, packets) if isinstance(item, Decoded)]

    assert {item.shown.turns for item in came} == {3}


def _display_orientation(*, quarters: int) -> bytes:
    """A unit of H.264 that says how its picture is to be turned, with its length before it."""
    bits = f"0{0:01b}{0:01b}{quarters << 14:016b}" + "1" + "0" + "1"
    payload = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    unit = b"\x06\x2f" + bytes([len(payload)]) + payload + b"\x80"
    return len(unit).to_bytes(4, "big") + unit


def test_a_head_says_what_a_picture_says() -> None:
    head = Head(width=3, shown=message_of(MIRROR))

    changed = head_as_shown(head, Shown.turned(90))

    assert head_as_shown(head, MIRROR) is head
    assert (of_head(changed), changed.width, of_head(head)) == (Shown.turned(90), 3, MIRROR)


@pytest.mark.parametrize("shown", [Shown(), MIRROR, Shown(sample_aspect=Fraction(4, 3), field_order="top", alpha=True)])
def test_it_travels(shown: Shown) -> None:
    assert of_head(Head.FromString(Head(shown=message_of(shown)).SerializeToString())) == shown


@pytest.mark.parametrize(
    ("said", "plausible"),
    [
        (ShownMessage(), True),
        (message_of(MIRROR), True),
        (ShownMessage(matrix=[1, 2, 3]), False),
        (ShownMessage(sample_aspect=Rational(num=-4, den=3)), False),
        (ShownMessage(coded_aspect=Rational(num=-4, den=3)), False),
    ],
)
def test_what_can_be_meant(said: ShownMessage, plausible: bool) -> None:
    assert is_plausible(said) == plausible


def test_a_child_that_says_otherwise_is_not_believed(tmp_path: Path) -> None:
    path = clip(tmp_path / "plain.mp4", looking(Shown()))
    with Demuxer(str(path), limits=JailLimits()) as demuxer:
        head = next(demuxer).head
        head.shown.sample_aspect.num = -1
        demuxer._tracks = -1

        assert not demuxer._plausible(StreamRecord(head=head))
