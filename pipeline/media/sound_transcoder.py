"""Sound that its new container does not take: decoded, and encoded in AAC. It runs in jailed processes alone."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import Flags

from pipeline.media.buffers import AvPacket
from pipeline.media.sound import LAYOUTS, NEW_CODEC

DECODED = frozenset(
    {
        *("aac", "aac_latm", "ac3", "eac3", "dts", "mp1", "mp2", "mp3", "mp3adu", "opus", "vorbis", "speex", "flac"),
        *("alac", "wmav1", "wmav2", "wmapro", "amr_nb", "amr_wb", "gsm", "gsm_ms", "nellymoser", "truehd", "tta"),
        *("adpcm_ima_wav", "adpcm_ima_qt", "adpcm_ms", "adpcm_swf", "adpcm_yamaha", "adpcm_g722", "adpcm_g726"),
        *("adpcm_g726le", "pcm_alaw", "pcm_mulaw", "pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le"),
        *("pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_bluray"),
        *("pcm_dvd", "pcm_u16le", "pcm_u16be", "wavpack", "mlp", "qdm2"),
    }
)
"""What is decoded at all; sound in another codec is left out by name."""
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
BITS_A_CHANNEL = 80_000
GAP_S, BACK_S = 0.05, 1.0
"""What is shorter between two pieces of sound is rounding, for containers count milliseconds; what steps further back
is another clock."""
USUAL_LAYOUTS = frozenset({"mono", "stereo", "3.0", "4.0", "5.0", "5.1", "7.1"})


class SoundTranscoder:
    """Takes the packets of one track, and gives packets of AAC on a clock of samples.

    Args:
        stream: of the source.

    Attributes:
        rate: samples a second; of the source's, or the next larger one that is usual.
        layout: of the channels; stereo for what is unusual.
        extradata: of the new codec.
        lost: packets that could not be decoded.

    Raises:
        av.FFmpegError, ValueError: nothing can be decoded of it.
    """

    def __init__(self, stream: Any) -> None:
        self._decoder: AudioCodecContext = stream.codec_context
        self._decoder.thread_count = 1
        if not self._decoder.sample_rate:
            raise ValueError("it does not say how many samples it has a second")
        self.rate = next((rate for rate in RATES if rate >= self._decoder.sample_rate), RATES[-1])
        layout = self._decoder.layout.name
        if layout not in USUAL_LAYOUTS:
            layout = "mono" if self._decoder.layout.nb_channels == 1 else "stereo"
        self.layout, self.lost = layout, 0
        self._encoder = cast(AudioCodecContext, av.CodecContext.create(NEW_CODEC, "w"))
        self._encoder.sample_rate, self._encoder.layout = self.rate, layout
        self._encoder.format, self._encoder.time_base = "fltp", self.time_base
        self._encoder.bit_rate = BITS_A_CHANNEL * LAYOUTS[layout]
        self._encoder.flags |= Flags.global_header
        self._encoder.open()
        self.extradata = self._encoder.extradata or b""
        self._resampler = self._new_resampler()
        self._first: int | None = None
        self._begun = False
        self._next = 0

    @property
    def time_base(self) -> Fraction:
        return Fraction(1, self.rate)

    def encode(self, packet: AvPacket) -> Iterator[AvPacket]:
        """What comes out by this packet, mostly of it and earlier ones."""
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            self.lost += 1
            return
        for frame in frames:
            if frame.pts is not None and frame.time_base is None:
                frame.time_base = packet.time_base
            yield from self._encoded(self._resampled(frame))

    def finish(self) -> Iterator[AvPacket]:
        """What is left; nothing may be encoded after it."""
        try:
            yield from self._encoded([*self._decoder.decode(None), *self._resampled(None)])
            yield from self._timely(self._encoder.encode(None))
        except (av.FFmpegError, ValueError):
            return  # the end of some sound, of which nothing more can be made

    def _new_resampler(self) -> av.AudioResampler:
        size = self._encoder.frame_size
        return av.AudioResampler(format="fltp", layout=self.layout, rate=self.rate, frame_size=size)

    def _resampled(self, frame: AudioFrame | None) -> list[AudioFrame]:
        try:
            return self._resampler.resample(frame)
        except ValueError:  # the sound is of another rate or of other channels from here on
            before = self._resampler.resample(None)
            self._resampler = self._new_resampler()
            return [*before, *self._resampler.resample(frame)]

    def _encoded(self, frames: list[AudioFrame]) -> Iterator[AvPacket]:
        for frame in frames:
            frame.pts, frame.time_base = self._time(frame), self.time_base
            self._first = frame.pts if self._first is None else self._first
            self._next = frame.pts + frame.samples
            yield from self._timely(self._encoder.encode(frame))

    def _time(self, frame: AudioFrame) -> int:
        """When it begins, in samples: right after the one before, unless a gap or a jump lies between them."""
        if frame.pts is None or frame.time_base is None:
            return self._next
        stated = round(frame.pts * frame.time_base * self.rate)
        step = stated - self._next
        return self._next if self._first is not None and -BACK_S * self.rate < step < GAP_S * self.rate else stated

    def _timely(self, packets: list[Any]) -> Iterator[AvPacket]:
        """Without the silence that the encoder puts before the sound, which would begin before it."""
        for packet in packets:
            self._begun = self._begun or (None not in (packet.pts, self._first) and packet.pts >= self._first)
            if self._begun:
                packet.time_base = self.time_base
                yield packet
