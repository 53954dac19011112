"""One seal: what a frame shows inside one box, before a cover hides it, encrypted and authenticated.

Escrow: the samples themselves under AES-256-GCM; `carrier.py` seals carriers of them in the same way. Everything that
is said about them is authenticated too; whatever bit is changed, nothing comes out but `NotAuthentic`.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from google.protobuf.message import DecodeError, Message

from operators.arrays import Array
from operators.frame import PIXEL_FORMATS, Cover, Picture
from operators.paint.geometry import Box, Rect, region_of, shape_of, steps_of, window
from pipeline.sealing import NotAuthentic
from pipeline.sealing.keys import StreamKeys, joined
from pipeline.sealing.samples import CODING, pack, raw_bytes, unpack
from pipeline.wire import Seal

M = TypeVar("M", bound=Message)
ESCROW, CARRIER = "escrow", "proface_s"
"""Schemes."""
CARRIER_FORMAT = "yuv444p"
"""Three planes of 8 bits and one size: red, green and blue."""
VERSION = 1
CHANGED = "is not authentic: it was changed, or the key is another one"


@dataclass(frozen=True, slots=True)
class SealedFace:
    """Which face of which frame is sealed.

    Attributes:
        epoch: of the masked video.
        index: of the frame within its stream.
        pts: of the masked packet that shows it, in ticks of that epoch's time base.
        track: its number; -1 for none.
        style: of the cover that hides it.
    """

    epoch: int
    index: int
    pts: int
    track: int
    style: str


def seal_face(keys: StreamKeys, picture: Picture, box: Box, face: SealedFace) -> Seal:
    """Seals what a picture shows in a box. The picture must not have been painted yet.

    Args:
        keys: of the picture's stream, in the newest period.
        box: x1 y1 x2 y2 in pixels, such as the `outer` of a cover's region; whole chroma samples are sealed.

    Raises:
        ValueError: the box lies outside of the picture.
    """
    seal, planes = new_seal(keys, picture, box, face)
    seal.scheme = ESCROW
    return encrypted(keys, seal, planes)


def open_seal(keys: StreamKeys, seal: Seal) -> list[Array]:
    """The samples of Y, U and V inside the seal's box, exactly as they were.

    Args:
        keys: of the seal's stream and period.

    Raises:
        NotAuthentic: anything of it was changed, or the keys are others.
    """
    return decrypted(keys, seal, ESCROW)


def new_seal(keys: StreamKeys, picture: Picture, box: Box, face: SealedFace) -> tuple[Seal, list[Array]]:
    """What every seal says, and the samples that it is about, for `encrypted`; raises as `seal_face`."""
    region = region_of(picture, Cover(box))
    if region is None:
        raise ValueError(f"box {box}: lies outside of the picture of {picture.width}x{picture.height}")
    salt, nonce = keys.next_nonce()
    seal = Seal(
        version=VERSION, coding=CODING, style=face.style,
        key_id=keys.key_id, keyring=keys.keyring, period=keys.period, salt=salt, nonce=nonce,
        stream=keys.stream, epoch=face.epoch, index=face.index, pts=face.pts, track=face.track,
        box=region.inner, pixel_format=picture.format.name,
    )  # fmt: skip
    return seal, _inside(picture, region.inner)


def encrypted(keys: StreamKeys, seal: Seal, planes: Sequence[Array]) -> Seal:
    """The same seal with these three planes in it. Everything else has to be said in it by now."""
    seal.planes[:] = [side for plane in planes for side in plane.shape]
    seal.digest = keys.mac("samples", raw_bytes(planes))
    seal.ciphertext = keys.cipher(seal.salt).encrypt(seal.nonce, pack(planes), about(seal))
    return seal


def decrypted(keys: StreamKeys, seal: Seal, scheme: str) -> list[Array]:
    """The three planes in a seal of that scheme; raises as `open_seal`."""
    named = f"the seal of frame {seal.index}, track {seal.track}"
    if seal.scheme != scheme or seal.version != VERSION or seal.coding != CODING:
        raise NotAuthentic(f"{named}: expected scheme {scheme}, version {VERSION}; it {CHANGED}")
    try:
        packed = keys.cipher(seal.salt).decrypt(seal.nonce, seal.ciphertext, about(seal))
        layout = PIXEL_FORMATS[seal.pixel_format if scheme == ESCROW else CARRIER_FORMAT]
        planes = unpack(packed, layout, shapes_of(seal))
    except (InvalidTag, ValueError, KeyError):
        raise NotAuthentic(f"{named} {CHANGED}") from None
    if not hmac.compare_digest(seal.digest, keys.mac("samples", raw_bytes(planes))):
        raise NotAuthentic(f"{named} {CHANGED}")
    return planes


def put_back(picture: Picture, seal: Seal, planes: list[Array]) -> None:
    """Writes samples of `open_seal` into the planes of a picture.

    Raises:
        NotAuthentic: the seal is of a picture of another size or format.
    """
    rect = rect_of(seal)
    shapes = [shape_of(rect, step) for step in steps_of(picture)]
    fits = rect.x2 <= picture.width and rect.y2 <= picture.height and seal.pixel_format == picture.format.name
    if not fits or shapes != [plane.shape for plane in planes]:
        size = f"{picture.width}x{picture.height} {picture.format.name}"
        raise NotAuthentic(f"the seal of frame {seal.index} does not fit into pictures of {size}")
    for target, samples, step in zip(picture.planes, planes, steps_of(picture), strict=True):
        target[window(rect, step)] = samples


def rect_of(seal: Seal) -> Rect:
    """The pixels that a seal is about.

    Raises:
        NotAuthentic: it does not say.

    >>> rect_of(Seal(box=[2, 4, 8, 6]))
    Rect(x1=2, y1=4, x2=8, y2=6)
    """
    if len(seal.box) != 4 or not (seal.box[0] < seal.box[2] and seal.box[1] < seal.box[3]):
        raise NotAuthentic(f"the seal of frame {seal.index} {CHANGED}")
    return Rect(*seal.box)


def shapes_of(seal: Seal) -> list[tuple[int, int]]:
    """Rows and columns of each sealed plane.

    >>> shapes_of(Seal(planes=[4, 6, 2, 3, 2, 3]))
    [(4, 6), (2, 3), (2, 3)]
    """
    if len(seal.planes) != 6:
        raise ValueError("expected rows and columns of three planes")
    return list(zip(seal.planes[::2], seal.planes[1::2], strict=True))


def about(message: Message) -> bytes:
    """Everything that a message says, but for its ciphertext and MAC: what is authenticated.

    By field numbers, so that fields added later are authenticated without anybody having to think of it, and that
    nothing depends on how protobuf writes them.

    >>> about(Seal(track=7)) == about(Seal(track=7, ciphertext=b"secret"))
    True
    """
    return joined(message.DESCRIPTOR.name, *_fields(message))


def _fields(message: Message) -> Iterator[str | int | bytes]:
    for field, value in message.ListFields():
        if field.name in ("ciphertext", "mac"):
            continue
        values = value if hasattr(value, "append") else [value]
        for each in values:
            yield field.number
            yield about(each) if isinstance(each, Message) else each


def parsed(kind: type[M], data: bytes) -> M:
    """The message of these bytes, if it is written as we write it: no unknown field, no second way to say the same.

    Raises:
        NotAuthentic: it is not.

    >>> parsed(Seal, Seal(track=7).SerializeToString()).track
    7
    """
    try:
        message = kind.FromString(data)
    except DecodeError:
        raise NotAuthentic(f"a {kind.DESCRIPTOR.name} {CHANGED}") from None
    message.DiscardUnknownFields()
    if message.SerializeToString(deterministic=True) != data:
        raise NotAuthentic(f"a {kind.DESCRIPTOR.name} {CHANGED}")
    return message


def _inside(picture: Picture, rect: Rect) -> list[Array]:
    return [plane[window(rect, step)] for plane, step in zip(picture.planes, steps_of(picture), strict=True)]
