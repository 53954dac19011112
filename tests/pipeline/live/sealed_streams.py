"""A key and a keyring of somebody, and streams of `masked_streams` whose frames have a seal each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from operators.arrays import Array
from pipeline.brokers import SEALED, Broker, Message
from pipeline.config import SealSection
from pipeline.live.outputs import seal_file_of
from pipeline.live.sealer import NewestKeys
from pipeline.sealing.journal import opened_journal
from pipeline.sealing.keyring import new_keyring, read_keyring
from pipeline.sealing.keys import MasterKey, key_from_file
from pipeline.sealing.recovery import Recovery, RecoveryRequest, recover
from pipeline.sealing.seal import SealedFace, seal_face
from pipeline.wire import StreamRecord
from tests.pipeline.live.masked_streams import STREAM, grey, publish

BOX = (8.0, 8.0, 24.0, 40.0)


def keys_in(folder: Path, **options: object) -> SealSection:
    """A new key and keyring in that folder, as a run is told of them."""
    key, keyring = folder / "my.key", folder / "my.keyring"
    master = MasterKey.new()
    master.write(key)
    new_keyring(keyring, master)
    return SealSection.model_validate({"keyring": str(keyring), "key_file": str(key), **options})


def publish_sealed(broker: Broker, records: Sequence[StreamRecord], settings: SealSection) -> None:
    """As a worker does: the seals before the packets that they are of. Each is of track 1 + epoch, and of the frame as
    it was drawn."""
    keys = NewestKeys(settings, STREAM)()
    packets = [record.packet for record in records if record.HasField("packet")]
    seals = []
    for packet in sorted(packets, key=lambda packet: (packet.epoch, packet.number)):
        packet.seals = 1
        face = SealedFace(packet.epoch, packet.number, packet.pts, 1 + packet.epoch, "blur")
        seals.append(seal_face(keys, grey(packet.number), BOX, face))
    writer = broker.writer("sealer")
    writer.write(STREAM, [Message(SEALED, seal.SerializeToString(deterministic=True)) for seal in seals], b"")
    writer.close()
    publish(broker, records)


def recovered(video: Path, settings: SealSection, output: Path, *, tracks: tuple[int, ...] | None = None) -> Recovery:
    """Writes the recovered video."""
    anchor = output.parent / f"{output.name}.anchor"
    anchor.mkdir()
    with opened_journal(output.with_suffix(".log"), anchor / "anchor") as journal:
        return recover(
            RecoveryRequest(video, seal_file_of(video), output, "a test", tracks=tracks),
            key_from_file(Path(settings.key_file)), read_keyring(Path(settings.keyring)), journal,
        )  # fmt: skip


def inside(plane: Array) -> Array:
    """What a seal is of."""
    x1, y1, x2, y2 = map(int, BOX)
    return np.asarray(plane[y1:y2, x1:x2])
