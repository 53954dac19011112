"""From painted pictures to the records of `masked`: epochs, encoder runs, and their clock.

`transactional`: each unit is the run of a fresh encoder, so that units can follow one another. `low_latency`:
one encoder that holds nothing back runs through the epoch, and every unit begins with the head and an IDR, so that a
sink can join in. After a takeover the first `LIVE_UNIT` frames are all IDRs: a sink may have any of them, and can enter
the epoch only at a keyframe.
"""

from __future__ import annotations

from typing import Literal

from engines import ConfigError, FrameError
from operators.frame import Picture
from operators.shown import Shown
from pipeline.brokers import MASKED, Message
from pipeline.config import EncodeSection
from pipeline.live.resume import OutputPoint, ResumePoint
from pipeline.media import Encoder, EncoderClock, masked_head, working_encoder
from pipeline.media.shown import head_as_shown
from pipeline.wire import End, Head, Packet, StreamRecord

LIVE_UNIT = 32
"""Frames that `low_latency` sends ahead of its commit at most."""


class MaskedOutput:
    """The masked side of one stream.

    Args:
        settings: of the encoder.
        resume: what was committed last.
        low_latency: which of the two deliveries; may be set once the first head is known.

    Attributes:
        epoch: of the records that are made now.
        frames: how many are in the unit so far.
    """

    def __init__(self, settings: EncodeSection, resume: ResumePoint) -> None:
        taken_over, point = resume.source is not None, resume.output
        self.low_latency = False
        self.epoch: int = point.epoch + 1 if taken_over else 0
        self.frames = 0
        self._settings = settings
        self._encoder_name = ""
        self._announce: Literal["", "continues", "anew"] = "continues" if taken_over and not point.anew else "anew"
        self._head: Head | None = None
        self._clock = EncoderClock.from_bytes(point.encoder_clock)
        self._idr_left = LIVE_UNIT if taken_over else 1
        self._encoder: Encoder | None = None
        self._made: list[Packet] = []
        self._indices: dict[int, tuple[int, int, int]] = {}
        self._messages: list[Message] = []

    def point(self) -> OutputPoint:
        """What the next owner needs; call it after `finish_unit`."""
        return OutputPoint(self.epoch, self._announce == "anew", self._clock.to_bytes())

    def open_epoch(self) -> None:
        """Begins a new epoch with a clock of its own."""
        self.finish_unit()
        self.epoch += 1
        self._announce, self._idr_left = "anew", 1
        self._encoder, self._encoder_name, self._clock = None, "", EncoderClock()

    def prepare(self, source: Head, picture: Picture, shown: Shown) -> None:
        """Makes ready for pictures like this one, of that source, to be shown like that.

        Raises:
            FrameError: the encoder does not take such a picture.
        """
        if self._encoder is None or self._announce:
            source = head_as_shown(source, shown)
        if self._encoder is None:
            self._encoder = self._open(source, picture)
        if self._announce:
            self._head = masked_head(source, self._encoder)
            self._head.epoch, self._head.continues = self.epoch, self._announce == "continues"
            self._announce = ""
            self._put(StreamRecord(head=self._head))
        elif self.low_latency and not self.frames:
            self._put(StreamRecord(head=self._head))

    def encode(
        self, picture: Picture, index: int, pts: int, duration: int, *, received_us: int = 0, seals: int = 0
    ) -> None:
        """Encodes the frame with this index, after `prepare`.

        Args:
            received_us: when a camera's was received, Unix time.
            seals: how many the frame has.
        """
        assert self._encoder is not None  # noqa: S101
        packets = self._encoder.encode(picture, pts, duration, key=self._idr_left > 0)
        self._idr_left -= self._idr_left > 0
        self._indices[pts] = index, received_us, seals
        self.frames += 1
        if self.low_latency:
            self._put_packets(packets)
        else:
            self._made += packets

    def finish_unit(self) -> None:
        """Gets all frames of the unit out of the encoder."""
        self.frames = 0
        self._idr_left = max(self._idr_left, 1)
        if self._encoder is None or self.low_latency:
            return
        self._made += self._encoder.flush()
        self._clock.stamp(self._made)
        self._put_packets(self._made)
        self._made, self._encoder = [], None

    def pass_audio(self, packet: Packet) -> None:
        packet.epoch = self.epoch
        packet.ClearField("chain")
        self._put(StreamRecord(packet=packet))

    def end(self, end: End) -> None:
        self._put(StreamRecord(end=end))

    def take(self) -> list[Message]:
        """The records that are ready to go, which are then the caller's."""
        messages, self._messages = self._messages, []
        return messages

    def _open(self, source: Head, picture: Picture) -> Encoder:
        shape = (picture.format, picture.width, picture.height)
        # Chosen once an epoch: what is joined in one file must have the same parameters.
        self._encoder_name = self._encoder_name or working_encoder(self._settings.encoder, source, *shape)
        try:
            return Encoder(
                source,
                *shape,
                encoder=self._encoder_name,
                preset=self._settings.preset,
                crf=self._settings.crf,
                options=self._settings.options if self._encoder_name == "libx264" else {},
                low_latency=self.low_latency,
            )
        except ConfigError as error:  # the settings were tried before the run: it is this picture
            raise FrameError(str(error)) from error

    def _put_packets(self, packets: list[Packet]) -> None:
        for packet in packets:
            packet.epoch = self.epoch
            packet.number, packet.received_us, packet.seals = self._indices.pop(packet.pts)
            self._put(StreamRecord(packet=packet))

    def _put(self, record: StreamRecord) -> None:
        self._messages.append(Message(MASKED, record.SerializeToString()))
