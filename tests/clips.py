"""Small videos, each with one trap in it that containers and codecs really set. Broken ones are in `hostile`.

Every frame carries its number as a bar code that survives lossy coding, so that a test can tell which frames came
out, in which order. The same bytes come out every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import as_file, files
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from operators.shown import Shown
from tests import field_pictures

Image = NDArray[np.uint8]

WIDTH, HEIGHT, FPS = 192, 144, 25
BITS = 8
"""Of the bar code, which fills the upper quarter of a picture."""
SMALLEST = 48
"""Pictures with a side below this, in pixels, carry no readable number."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A video, and what must come out of it.

    Attributes:
        path: the file.
        numbers: what `read_index` says of the frames that a plain decode shows, in order.
    """

    path: Path
    numbers: tuple[int, ...]


# -- pictures ------------------------------------------------------------------------------------------


def draw(number: int, width: int = WIDTH, height: int = HEIGHT, portrait: Image | None = None) -> Image:
    """`(height, width, 3)` BGR: the number as eight blocks above their negatives, and what moves below them.

    Args:
        number: 0..255.
        portrait: a picture that wanders over the lower part; without it, a bright ball does.
    """
    picture = np.full((height, width, 3), 96, np.uint8)
    picture[..., 1] = np.linspace(70, 130, width).astype(np.uint8)
    for bit, (left, right) in enumerate(_columns(width)):
        upper, lower = _rows(height)
        value = 235 if number >> bit & 1 else 20
        picture[slice(*upper), left:right] = value
        picture[slice(*lower), left:right] = 255 - value
    top = height // 4
    if portrait is None:
        x = round(width * (0.5 + 0.35 * np.sin(number / 9)))
        return np.asarray(cv2.circle(picture, (x, (top + height) // 2), height // 6, (60, 190, 220), -1), np.uint8)
    size = height - top
    face = cv2.resize(portrait, (size * portrait.shape[1] // portrait.shape[0], size), interpolation=cv2.INTER_AREA)
    left = round((width - face.shape[1]) * (0.5 + 0.45 * np.sin(number / 9)))
    picture[top:, left : left + face.shape[1]] = face
    return picture


def read_index(picture: NDArray[Any]) -> int | None:
    """The number drawn on a picture: BGR `(h, w, 3)`, or luma `(h, w)` of any depth. None: it cannot be read."""
    luma = picture if picture.ndim == 2 else picture.mean(axis=2)
    if min(luma.shape) < SMALLEST:
        return None
    number = 0
    for bit, (left, right) in enumerate(_columns(luma.shape[1])):
        margin = (right - left) // 4
        columns = slice(left + margin, right - margin)
        upper, lower = (float(luma[a + 2 : b - 2, columns].mean()) for a, b in _rows(luma.shape[0]))
        if abs(upper - lower) < 0.2 * (235 if luma.max() < 256 else 940):
            return None
        number |= (upper > lower) << bit
    return number


def shown(path: Path) -> list[int | None]:
    """The numbers on the frames of a file, as PyAV decodes them with nothing around it."""
    with av.open(str(path)) as container:
        return [read_index(_luma(frame)) for frame in container.decode(video=0)]


def portrait() -> Image:
    """A real face in public domain: Grace Hopper, from matplotlib's sample data, `(600, 512, 3)` BGR."""
    with as_file(files("matplotlib") / "mpl-data/sample_data/grace_hopper.jpg") as file:
        return np.asarray(cv2.imread(str(file)), np.uint8)


def _columns(width: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, width, BITS + 1).astype(int).tolist()
    return list(pairwise(edges))


def _rows(height: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (0, height // 8), (height // 8, height // 4)


def _luma(frame: av.VideoFrame) -> NDArray[Any]:
    if frame.format.name.endswith("10le"):
        plane = frame.planes[0]
        rows = np.frombuffer(bytes(plane), np.uint16).reshape(frame.height, plane.line_size // 2)
        return rows[:, : frame.width]
    return frame.to_ndarray(format="gray")


# -- making --------------------------------------------------------------------------------------------

Packets = list[Any]
"""Of `av.Packet`, all of them with pts and dts."""
X264 = {"threads": "1", "preset": "veryfast", "crf": "26"}


def h264(count: int, **params: Any) -> dict[str, Any]:
    """Settings of `write` for x264: constant GOPs, no frame threads, so that bytes repeat."""
    settings = {"keyint": 24, "min-keyint": 1, "scenecut": 0, "bframes": 0} | {
        name.replace("_", "-"): value for name, value in params.items()
    }
    joined = ":".join(f"{name}={value}" for name, value in settings.items())
    return {"codec": "libx264", "count": count, "options": X264 | {"x264-params": joined}}


def h265(count: int, **params: Any) -> dict[str, Any]:
    settings = {"keyint": 24, "min-keyint": 1, "scenecut": 0, "pools": 1, "frame-threads": 1, "log-level": "none"} | {
        name.replace("_", "-"): value for name, value in params.items()
    }
    joined = ":".join(f"{name}={value}" for name, value in settings.items())
    return {"codec": "libx265", "count": count, "options": {"preset": "ultrafast", "x265-params": joined}}


def write(
    path: Path,
    face: Image | None,
    *,
    codec: str,
    count: int,
    first: int = 0,
    options: Mapping[str, str] | None = None,
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (WIDTH, HEIGHT),
    container_format: str | None = None,
    clock: Callable[[int], int] = lambda i: i,
    edit: Callable[[Packets], Packets] = lambda packets: packets,
    prepare: Callable[[Any], None] = lambda _: None,
    audio: tuple[str, int, float] | None = None,
) -> Clip:
    """Encodes frames `first` .. `first + count - 1` and muxes them.

    Args:
        clock: the i-th frame's pts, in 1/FPS s.
        edit: changes the video packets (pts in 1/FPS s) before they are muxed.
        prepare: is shown the stream before anything is encoded.
        audio: codec, samples per second, and seconds of a tone beside the pictures.
    """
    with av.open(str(path), "w", format=container_format, options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream(codec, rate=FPS, options=dict(options or {}))
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.thread_count = 1
        prepare(stream)
        voice: Any = container.add_stream(audio[0], rate=audio[1], layout="mono") if audio else None
        packets: Packets = []
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(draw(first + i, *size, face), format="bgr24")
            frame.pts, frame.time_base = clock(i), Fraction(1, FPS)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in edit(packets):
            container.mux(packet)
        if voice is not None and audio is not None:
            for packet in _tone(voice, audio[1], audio[2]):
                container.mux(packet)
    return Clip(path, tuple(range(first, first + count)))


def _tone(stream: Any, rate: int, seconds: float) -> Iterable[Any]:
    samples = (8000 * np.sin(np.arange(round(rate * seconds)) * (440 * 2 * np.pi / rate))).astype(np.int16)
    for start in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _joined(path: Path, parts: Iterable[Clip]) -> Clip:
    parts = list(parts)
    path.write_bytes(b"".join(part.path.read_bytes() for part in parts))
    return Clip(path, tuple(number for part in parts for number in part.numbers))


# -- GOPs ----------------------------------------------------------------------------------------------


def h264_plain(folder: Path, face: Image | None) -> Clip:
    """No trap: closed GOPs, no B-frames."""
    return write(folder / "plain.mp4", face, **h264(60))


def h264_open_gop(folder: Path, face: Image | None) -> Clip:
    """Leading pictures behind a keyframe need the GOP before it; a decoder that is flushed per GOP loses them."""
    return write(folder / "open_gop.mp4", face, **h264(90, open_gop=1, bframes=3, b_adapt=0))


def hevc_open_gop(folder: Path, face: Image | None) -> Clip:
    """The same with HEVC's CRA pictures and their RASL pictures."""
    return write(folder / "open_gop_hevc.mp4", face, **h265(90, open_gop=1, bframes=3, b_adapt=0))


def mpeg2_open_gop(folder: Path, face: Image | None) -> Clip:
    """The same with MPEG-2, whose encoders leave GOPs open unless told otherwise."""
    options = {"g": "12", "bf": "2", "b": "600k"}
    return write(folder / "open_gop.mpg", face, codec="mpeg2video", count=90, options=options)


def h264_intra_refresh(folder: Path, face: Image | None) -> Clip:
    """One real keyframe; then a column of intra blocks wanders over the picture, and where it begins anew the
    container says "keyframe", but a decoder that begins there shows nothing whole for a while."""
    return write(folder / "intra_refresh.mp4", face, **h264(90, intra_refresh=1, keyint=30))


def h264_long_gop(folder: Path, face: Image | None) -> Clip:
    """One keyframe for all 250 frames: a unit cannot wait for the next one."""
    return write(folder / "long_gop.mp4", face, **h264(250, keyint=1000))


def h264_all_intra(folder: Path, face: Image | None) -> Clip:
    """Every frame is a keyframe: units of one frame would cost four times the bytes."""
    return write(folder / "all_intra.mp4", face, **h264(60, keyint=1))


def no_keyframe_start(folder: Path, face: Image | None) -> Clip:
    """A transport stream cut in the middle of a GOP: nothing can be shown before the first keyframe."""
    clip = write(folder / "no_keyframe.ts", face, edit=lambda packets: packets[6:], **h264(60))
    return Clip(clip.path, tuple(range(24, 60)))


# -- clocks --------------------------------------------------------------------------------------------


def edit_list(folder: Path, face: Image | None) -> Clip:
    """Twelve packets before time zero are decoded but never shown: the demuxer marks them as to be discarded."""

    def earlier(packets: Packets) -> Packets:
        for packet in packets:
            packet.pts -= 12
            packet.dts -= 12
        return packets

    clip = write(folder / "edit_list.mp4", face, edit=earlier, **h264(60))
    return Clip(clip.path, tuple(range(12, 60)))


def variable_rate(folder: Path, face: Image | None) -> Clip:
    """Frames last 1, 2, 5 or 1 ticks in turn, so that no rate describes them."""
    ticks = np.cumsum([0, *([1, 2, 5, 1] * 15)]).tolist()
    return write(folder / "variable_rate.mp4", face, clock=lambda i: ticks[i], **h264(60, bframes=2))


def late_start(folder: Path, face: Image | None) -> Clip:
    """The first frame is shown at 3 s of the file's clock."""
    return write(folder / "late_start.mp4", face, clock=lambda i: i + 3 * FPS, **h264(48))


def clock_jump_ahead(folder: Path, face: Image | None) -> Clip:
    """In the middle, the clock of a transport stream jumps ten minutes ahead."""
    return write(folder / "jump_ahead.ts", face, clock=lambda i: i + (600 * FPS if i >= 48 else 0), **h264(96))


def clock_jump_back(folder: Path, face: Image | None) -> Clip:
    """In the middle, the clock of a transport stream starts anew, as when a recorder was switched off and on."""
    late: Callable[[int], int] = lambda i: i + 1000 * FPS  # noqa: E731
    parts = [
        write(folder / "back_1.ts", face, clock=late, **h264(48)),
        write(folder / "back_2.ts", face, first=48, **h264(48)),
    ]
    return _joined(folder / "jump_back.ts", parts)


def clock_jump_with_sound(folder: Path, face: Image | None) -> Clip:
    """The clock starts anew in the middle, for the pictures and for the sound, which comes first."""
    late: Callable[[int], int] = lambda i: i + 1000 * FPS  # noqa: E731
    parts = [
        write(folder / "sound_1.ts", face, clock=late, audio=("mp2", 48000, 48 / FPS), **h264(48)),
        write(folder / "sound_2.ts", face, first=48, audio=("mp2", 48000, 48 / FPS), **h264(48)),
    ]
    return _joined(folder / "jump_with_sound.ts", parts)


def avi_b_frames(folder: Path, face: Image | None) -> Clip:
    """AVI has no pts: those of B-frames come out of order or not at all."""
    return write(folder / "b_frames.avi", face, **h264(48, bframes=2, b_adapt=0))


def raw_h264(folder: Path, face: Image | None) -> Clip:
    """A bare elementary stream has no time stamps."""
    return write(folder / "raw.h264", face, container_format="h264", **h264(48, bframes=2))


# -- sizes and pictures --------------------------------------------------------------------------------


def rotated(folder: Path, face: Image | None) -> Clip:
    """A phone held upright: the coded picture lies on its side, a display matrix turns it by 90 degrees."""
    lying = None if face is None else np.rot90(face, -1)
    return write(folder / "rotated.mp4", lying, prepare=lambda stream: stream.set_display_rotation(90), **h264(48))


def mirrored(folder: Path, face: Image | None) -> Clip:
    """Half as wide as it is shown, lying on its side, and seen in a mirror."""
    shown = Shown.turned(90, mirrored=True)

    def prepare(stream: Any) -> None:
        stream.set_display_matrix(shown.matrix)
        stream.codec_context.sample_aspect_ratio = Fraction(2)

    return write(folder / "mirrored.mp4", face, prepare=prepare, **h264(48))


def fields(folder: Path, face: Image | None) -> Clip:
    """Interlaced: two packets a frame, with a field each, of which a decoder gives one picture."""
    frames = [draw(i, 192, 160, face) for i in range(16)]
    return Clip(field_pictures.write(folder / "fields.ts", frames), tuple(range(16)))


def hidden_by_alpha(folder: Path, face: Image | None) -> Clip:
    """The lower right quarter lies under alpha 0, in a stream of its own that the usual decoder passes over."""
    path, options = folder / "alpha.webm", {"auto-alt-ref": "0", "crf": "20", "deadline": "realtime", "cpu-used": "8"}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libvpx-vp9", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuva420p"
        for i in range(24):
            opaque = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
            opaque[HEIGHT // 2 :, WIDTH // 2 :] = 0
            picture = np.concatenate([draw(i, WIDTH, HEIGHT, face), opaque], axis=2)
            frame = av.VideoFrame.from_ndarray(picture, format="bgra")
            container.mux(stream.encode(frame.reformat(format="yuva420p")))
        container.mux(stream.encode(None))
    return Clip(path, tuple(range(24)))


def odd_size(folder: Path, face: Image | None) -> Clip:
    """321x241 in 4:2:0, which x264 refuses to encode."""
    return write(folder / "odd.mp4", face, codec="mpeg4", count=48, size=(321, 241), options={"b": "800k"})


def odd_size_444(folder: Path, face: Image | None) -> Clip:
    """321x241 in 4:4:4, which x264 takes."""
    return write(folder / "odd_444.mp4", face, size=(321, 241), pix_fmt="yuv444p", **h264(48))


def h264_444(folder: Path, face: Image | None) -> Clip:
    """Chroma at full resolution: a painter that halves coordinates paints in the wrong place."""
    return write(folder / "full_chroma.mp4", face, pix_fmt="yuv444p", **h264(48))


def size_change_ts(folder: Path, face: Image | None) -> Clip:
    """A camera changes its resolution in mid-stream; encoders silently rescale to the first size."""
    parts = [
        write(folder / "size_1.ts", face, **h264(48)),
        write(folder / "size_2.ts", face, first=48, size=(256, 160), clock=lambda i: i + 48, **h264(48)),
    ]
    return _joined(folder / "size_change.ts", parts)


def size_change_raw(folder: Path, face: Image | None) -> Clip:
    """The same without a container, to a smaller size."""
    parts = [
        write(folder / "size_1.h264", face, size=(256, 160), container_format="h264", **h264(48)),
        write(folder / "size_2.h264", face, first=48, container_format="h264", **h264(48)),
    ]
    return _joined(folder / "size_change.h264", parts)


def hdr_10_bit(folder: Path, face: Image | None) -> Clip:
    """10 bit with PQ transfer and BT.2020 colours, tagged in the stream; seen as 8 bit it loses both."""

    def tag(stream: Any) -> None:
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, 16, 9, 1

    return write(folder / "hdr.mp4", face, pix_fmt="yuv420p10le", prepare=tag, **h265(48))


# -- other codecs --------------------------------------------------------------------------------------


def vp9_hidden_frames(folder: Path, face: Image | None) -> Clip:
    """A packet may hold a frame that is decoded but never shown (alternative reference) beside one that is."""
    options = {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "realtime", "cpu-used": "6", "b": "200k"}
    return write(folder / "hidden.webm", face, codec="libvpx-vp9", count=60, options=options)


def vp8(folder: Path, face: Image | None) -> Clip:
    """What browsers record, without any trap but its age."""
    return write(folder / "vp8.webm", face, codec="libvpx", count=48, options={"deadline": "realtime", "b": "300k"})


def av1(folder: Path, face: Image | None) -> Clip:
    """Temporal units with hidden frames, in an mp4."""
    options = {"preset": "10", "svtav1-params": "lp=1:keyint=24"}
    return write(folder / "av1.mp4", face, codec="libsvtav1", count=48, options=options)


def mjpeg_avi(folder: Path, face: Image | None) -> Clip:
    """What old cameras record: JPEGs in an AVI, full range."""
    return write(folder / "mjpeg.avi", face, codec="mjpeg", count=48, pix_fmt="yuvj420p")


def mjpeg_mkv(folder: Path, face: Image | None) -> Clip:
    """JPEGs with 4:2:2 chroma, as webcams send them."""
    return write(folder / "mjpeg.mkv", face, codec="mjpeg", count=48, pix_fmt="yuvj422p")


def gif(folder: Path, face: Image | None) -> Clip:
    """Palette colours, and one GOP for the whole file."""
    return write(folder / "clip.gif", face, codec="gif", count=24, pix_fmt="rgb8")


def mpeg1(folder: Path, face: Image | None) -> Clip:
    """A program stream with a 90 kHz clock."""
    options = {"g": "12", "bf": "2", "b": "600k"}
    return write(folder / "mpeg1.mpg", face, codec="mpeg1video", count=48, options=options)


# -- sound ---------------------------------------------------------------------------------------------


def mov_g711(folder: Path, face: Image | None) -> Clip:
    """G.711 sound, common in cameras: mp4 refuses it, mov takes it."""
    return write(folder / "g711.mov", face, audio=("pcm_alaw", 8000, 2), **h264(48))


def mov_pcm(folder: Path, face: Image | None) -> Clip:
    """Sound that is not coded at all: thousands of tiny packets, refused by older mp4 muxers."""
    return write(folder / "pcm.mov", face, audio=("pcm_s16le", 48000, 2), **h264(48))


def mp4_aac(folder: Path, face: Image | None) -> Clip:
    """AAC with its priming samples before time zero."""
    return write(folder / "aac.mp4", face, audio=("aac", 48000, 48 / FPS), **h264(48))


def long_audio(folder: Path, face: Image | None) -> Clip:
    """The sound goes on for three seconds after the last picture."""
    return write(folder / "long_audio.mp4", face, audio=("aac", 48000, 48 / FPS + 3), **h264(48))


MAKERS: dict[str, Callable[[Path, Image | None], Clip]] = {
    maker.__name__: maker
    for maker in (
        h264_plain, h264_open_gop, hevc_open_gop, mpeg2_open_gop, h264_intra_refresh, h264_long_gop, h264_all_intra,
        no_keyframe_start, edit_list, variable_rate, late_start, clock_jump_ahead, clock_jump_back,
        clock_jump_with_sound, avi_b_frames, raw_h264, rotated, mirrored, fields, hidden_by_alpha, odd_size,
        odd_size_444, h264_444, size_change_ts, size_change_raw, hdr_10_bit, vp8, vp9_hidden_frames, av1, mjpeg_avi,
        mjpeg_mkv, gif, mpeg1, mov_g711, mov_pcm, mp4_aac, long_audio,
    )
}  # fmt: skip


class Clips:
    """The clips by name, each made once, when it is first asked for.

    Args:
        folder: an empty one to put them in.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, bool], Clip] = {}

    def __call__(self, name: str, *, with_face: bool = False) -> Clip:
        """The clip that `MAKERS[name]` makes; with a face, a portrait wanders over its pictures."""
        key = (name, with_face)
        if key not in self._made:
            folder = self._folder / f"{name}{'_face' * with_face}"
            folder.mkdir(parents=True)
            self._made[key] = MAKERS[name](folder, portrait() if with_face else None)
        return self._made[key]
