"""The sound of a source, track by track: copied, encoded anew, or left out with a word. It runs in jailed processes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import av
from av.stream import Disposition

from pipeline.media.buffers import AvPacket, words
from pipeline.media.sound import (
    ALL_COPIED,
    COPIED,
    LARGEST_RATE,
    LAYOUTS,
    NEW_CODEC,
    UnknownSound,
    aac_config,
    has_header,
    private_data,
    without_adts,
)
from pipeline.media.sound_transcoder import DECODED, SoundTranscoder
from pipeline.wire import AudioTrack, rational

_BY_COUNT = {1: "mono", 2: "stereo"}
_KINDS = {"Main": 1, "LC": 2, "SSR": 3, "LTP": 4}
_EXTENDED, _PARAMETRIC = ("HE-AAC", "HE-AACv2"), "HE-AACv2"
"""FFmpeg's names of profiles of AAC. With the extended ones it states twice the rate of the AAC in them."""


class SoundPiece(NamedTuple):
    """A packet of the track with that number, and its bytes as they are carried."""

    track: int
    packet: AvPacket
    data: bytes


class SoundTracks:
    """Sorts out the sound of one source.

    Args:
        streams: its sound streams, those too that FFmpeg does not know.
        container: the one that it will be put into, as `COPIED` names them; empty where it is not known yet.

    Attributes:
        tracks: those that are carried, numbered from 1 on in the order of the file.
        streams: of the source, in the order of `tracks`.
        notes: what is not carried as it is, a sentence each.
    """

    def __init__(self, streams: Sequence[Any], container: str) -> None:
        self._copied = COPIED.get(container, ALL_COPIED)
        self._container = container
        self.tracks: list[AudioTrack] = []
        self.streams: list[Any] = []
        self.notes: list[str] = []
        self._numbers: dict[int, int] = {}
        self._coders: dict[int, SoundTranscoder] = {}
        for position, stream in enumerate(streams, 1):
            track = self._track(stream, f"sound track {position}" if len(streams) > 1 else "sound")
            if track is not None:
                track.language = _language(stream)
                track.default_track = bool(stream.disposition & Disposition.default)
                self.tracks.append(track)
                self.streams.append(stream)

    def pieces(self, packet: AvPacket) -> Iterator[SoundPiece]:
        """What is carried of a packet of one of `streams`."""
        number = self._numbers[packet.stream_index]
        coder = self._coders.get(number)
        if coder is not None:
            yield from (SoundPiece(number, made, bytes(made)) for made in coder.encode(packet))
            return
        codec, data = self.tracks[number - 1].codec, bytes(packet)
        data = without_adts(data) if codec == "aac" else data
        if data and not has_header(codec, data):
            yield SoundPiece(number, packet, data)

    def rest(self) -> Iterator[SoundPiece]:
        """What comes out when there are no more packets."""
        for number, coder in self._coders.items():
            yield from (SoundPiece(number, made, bytes(made)) for made in coder.finish())

    def _track(self, stream: Any, name: str) -> AudioTrack | None:
        context = stream.codec_context
        if context is None:
            self.notes.append(f"{name} is in a codec that is not known: left out")
            return None
        codec, number = context.codec.canonical_name, len(self.tracks) + 1
        why = f"{self._container or 'the result'} does not hold it"
        if codec in self._copied:
            try:
                track = _copied(stream, codec, number)
            except UnknownSound as unknown:
                why = str(unknown)
            else:
                self._numbers[stream.index] = number
                return track
        return self._encoded(stream, name, codec, number, why)

    def _encoded(self, stream: Any, name: str, codec: str, number: int, why: str) -> AudioTrack | None:
        if codec not in DECODED:
            self.notes.append(f"{name} is {codec}, which is neither copied nor decoded: left out")
            return None
        try:
            coder = SoundTranscoder(stream)
            extradata = private_data(NEW_CODEC, coder.extradata)
        except (av.FFmpegError, ValueError, UnknownSound) as error:
            said = words(error) if isinstance(error, (av.FFmpegError, ValueError)) else str(error)
            self.notes.append(f"{name} is {codec}, which cannot be decoded ({said}): left out")
            return None
        self._coders[number] = coder
        self._numbers[stream.index] = number
        self.notes.append(f"{name} is {codec} ({why}): encoded anew in {NEW_CODEC.upper()}")
        return AudioTrack(
            track=number,
            codec=NEW_CODEC,
            time_base=rational(coder.time_base),
            extradata=extradata,
            sample_rate=coder.rate,
            layout=coder.layout,
        )


def _copied(stream: Any, codec: str, number: int) -> AudioTrack:
    """The track as it is carried.

    Raises:
        UnknownSound: it has to be encoded anew.
    """
    context = stream.codec_context
    count, layout = context.layout.nb_channels, context.layout.name
    layout = layout if LAYOUTS.get(layout) == count else _BY_COUNT.get(count, "")
    if not layout:
        raise UnknownSound(f"with {count} channels in places that are not known")
    if not 0 < context.sample_rate <= LARGEST_RATE:
        raise UnknownSound(f"with {context.sample_rate} samples a second")
    given = context.extradata or b""
    extradata = _plain_aac(context) if codec == "aac" and not given else private_data(codec, given)
    return AudioTrack(
        track=number,
        codec=codec,
        time_base=rational(stream.time_base),
        extradata=extradata,
        sample_rate=context.sample_rate,
        layout=layout,
    )


def _plain_aac(context: Any) -> bytes:
    """For sound whose packets say it themselves, in ADTS headers that go."""
    profile, rate, channels = context.profile or "LC", context.sample_rate, context.layout.nb_channels
    if profile in _EXTENDED:  # plain AAC of half the rate, from which decoders find out the rest
        return aac_config(_KINDS["LC"], rate // 2, 1 if profile == _PARAMETRIC else channels)
    return aac_config(_KINDS.get(profile, 0), rate, channels)


def _language(stream: Any) -> str:
    """Three letters, where the container states them."""
    stated = str(stream.metadata.get("language", "")).lower()
    return stated if re.fullmatch(r"[a-z]{3}", stated) and stated != "und" else ""
