"""The jailed side of `reading`: the bytes of a photo in, its pixels out, as they are shown.

parent to child   PHOTO    the file
child to parent   SIZE     JSON: width, height, and what of it is not as it was, a sentence each
                  PIXELS   rows of BGR, one message after the other

A large photo fills most of what the child may have: nothing here is copied that need not be.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps

from pipeline.jail.protocol import FAILED, Channel

Image.init()  # all plugins: once a stranger's bytes are here, nothing can be imported any more

PHOTO, SIZE, PIXELS = 1, 1, 2
FORMATS = ("JPEG", "PNG", "WEBP")
CHUNK_BYTES = 8 << 20
_PNG_DEPTH_AT, _WIDE = 24, 16
_PNG_MARK = b"\x89PNG"
_SHORT_STEP = 257
"""From 16 bits to 8."""
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error, zlib.error, OverflowError)
"""What Pillow's readers are seen to raise on broken files."""


class RefusedPhoto(Exception):
    """Nothing is made of it; the text after the file's name says why."""


def serve(channel: Channel, settings: Mapping[str, Any]) -> None:
    """Reads one photo and sends its pixels; `FAILED` where it is none that is taken."""
    Image.MAX_IMAGE_PIXELS = None  # the limit here has a sentence of its own
    content = channel.receive().payload
    try:
        photo, notes = _read(content, settings["max_pixels"])
    except RefusedPhoto as refused:
        channel.send(FAILED, str(refused).encode())
        return
    channel.send(SIZE, json.dumps({"width": photo.width, "height": photo.height, "notes": notes}).encode())
    rows = max(1, CHUNK_BYTES // (len(photo.mode) * photo.width))
    for top in range(0, photo.height, rows):
        strip = photo.crop((0, top, photo.width, min(photo.height, top + rows)))
        channel.send(PIXELS, strip.tobytes("raw", "BGR"))


def _read(content: bytes, max_pixels: int) -> tuple[Image.Image, list[str]]:
    """As RGB of 8 bits in sRGB, turned as its orientation says."""
    try:
        photo = Image.open(io.BytesIO(content), formats=FORMATS)
    except _BROKEN as error:
        raise RefusedPhoto("is no JPEG, PNG or WebP, or is broken from its beginning") from error
    if photo.width * photo.height > max_pixels:
        raise RefusedPhoto(f"has {photo.width}x{photo.height} pixels; at most {max_pixels} are taken")
    pictures = _pictures(photo)
    if pictures > 1 and not photo.format == "MPO":
        raise RefusedPhoto(f"is animated, with {pictures} pictures; make a video of it")
    notes = [f"{pictures - 1} further picture within it is left out"] if pictures > 1 else []
    try:
        photo.load()
        ImageOps.exif_transpose(photo, in_place=True)
        return _plain(photo, content, notes), notes
    except _BROKEN as error:
        raise RefusedPhoto(f"breaks off, or is broken: {error}") from error


def _pictures(photo: Image.Image) -> int:
    try:
        return int(getattr(photo, "n_frames", 1))
    except _BROKEN as error:
        raise RefusedPhoto(f"breaks off, or is broken: {error}") from error


def _plain(photo: Image.Image, content: bytes, notes: list[str]) -> Image.Image:
    if content.startswith(_PNG_MARK) and content[_PNG_DEPTH_AT] == _WIDE:
        notes.append("16 bits a channel become 8")
    profile = photo.info.get("icc_profile")
    if photo.mode.startswith("I"):
        photo = Image.fromarray((np.asarray(photo).clip(0, 65535) // _SHORT_STEP).astype(np.uint8))
    if "A" in photo.mode or photo.mode.endswith("a") or "transparency" in photo.info:
        notes.append("what is transparent becomes white")
        layered = photo if photo.mode == "RGBA" else photo.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        white.alpha_composite(layered)
        return _in_srgb(white.convert("RGB"), profile, notes)
    if photo.mode == "CMYK":
        notes.append("CMYK becomes RGB")
    plain = photo if photo.mode in ("RGB", "CMYK", "L") else photo.convert("RGB")
    return _in_srgb(plain, profile, notes)


def _in_srgb(photo: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """By the colour profile that comes with it, which the result does not carry."""
    if not profile:
        return _rgb(photo)
    at_its_place = photo.mode == "RGB"
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        made = ImageCms.profileToProfile(photo, source, target, outputMode="RGB", inPlace=at_its_place)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notes.append("its colour profile is none that can be read: colours are taken as sRGB")
        return _rgb(photo)
    return made if made is not None else _rgb(photo)


def _rgb(photo: Image.Image) -> Image.Image:
    return photo if photo.mode == "RGB" else photo.convert("RGB")
