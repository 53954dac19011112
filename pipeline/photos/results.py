"""Where masked photos go, and how they are written: as what their names say, without metadata, and never over a photo
that is read."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engines import ConfigError, StreamError
from engines.files import make_public, write_whole
from pipeline.live.outputs import LONGEST_NAME, SPARE, cut_to_bytes, is_single, unwritable
from pipeline.live.sources import ANONYMIZED, LIVE, PHOTO_SUFFIXES, shown_name

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".webp": "WEBP"}
QUALITY = 95
_MODE = 0o666


@dataclass(frozen=True, slots=True)
class PlannedPhoto:
    """One photo and where its result goes."""

    source: Path
    target: Path


def plan_photos(photos: Sequence[str], output: str | None) -> list[PlannedPhoto]:
    """Gives each photo a result of its own name: beside it, in the folder `output`, or, of one alone, that file.

    Raises:
        ConfigError: one output file for several photos, one that is read, or one that is no picture that is written.

    >>> plan_photos(["in/eva.JPG"], "out")[0].target.as_posix()
    'out/eva_anonymized.jpg'
    """
    if output is not None and LIVE.match(output):
        raise ConfigError(f"{shown_name(output)}: photos are written to files; give a folder")
    if output is not None and is_single(output):
        if len(photos) > 1:
            raise ConfigError(f"{output}: one output for {len(photos)} photos; give a folder")
        if Path(output).suffix.lower() not in PHOTO_SUFFIXES:
            raise ConfigError(f"{output}: expected a name that ends with {', '.join(sorted(FORMATS))} for a photo")
        if Path(output).resolve() == Path(photos[0]).resolve():
            raise ConfigError(f"{output}: would overwrite a source; choose another output")
        return [PlannedPhoto(Path(photos[0]), Path(output))]
    planned: list[PlannedPhoto] = []
    read = {Path(photo).resolve() for photo in photos}
    for source in map(Path, photos):
        folder = source.parent if output is None else Path(output)
        suffix = source.suffix.lower()
        stem = cut_to_bytes(source.stem, LONGEST_NAME - SPARE - len(ANONYMIZED + suffix))
        taken = {each.target for each in planned}
        names = (folder / f"{stem}{f'_{n}' if n > 1 else ''}{ANONYMIZED}{suffix}" for n in itertools.count(1))
        planned.append(
            PlannedPhoto(source, next(name for name in names if name not in taken and name.resolve() not in read))
        )
    return planned


def write_photo(target: Path, image: NDArray[np.uint8], *, overwrite: bool = False) -> None:
    """Writes a `(h, w, 3)` BGR image under a name that nothing has yet.

    Args:
        overwrite: a file of that name is replaced, once the new one is whole.

    Raises:
        StreamError: something of that name is there, or the folder cannot be written to.
    """
    if refused := unwritable(target.parent):
        raise StreamError(f"{target}: cannot be written; {refused}")
    content = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    try:
        picture.save(content, FORMATS[target.suffix.lower()], quality=QUALITY)
        if overwrite and target.is_file():
            write_whole(target, content.getvalue())
            make_public(target)
            return
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    except FileExistsError as error:
        raise StreamError(f"{target}: is there already, and is not replaced") from error
    except (OSError, ValueError) as error:
        raise StreamError(f"{target}: cannot be written ({_why(error)})") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        target.unlink(missing_ok=True)
        raise StreamError(f"{target}: cannot be written ({_why(error)})") from error


def _why(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
