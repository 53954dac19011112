"""The photos among what `facewarden run` is given: masked one by one in this process, without Ray."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from engines import ConfigError, FrameError, StreamError
from pipeline.commands.console import console, errors, plain
from pipeline.commands.progress import Bars
from pipeline.config import Config

if TYPE_CHECKING:
    from pipeline.live.sources import FoundSources
    from pipeline.photos.results import PlannedPhoto

PHOTOS = "photos"
INTERRUPTED = 130


def planned_photos(found: FoundSources, output: str | None, config: Config) -> list[PlannedPhoto]:
    """Where photos go, after what they need has been checked.

    Raises:
        ConfigError: that cannot be, or the config cannot be run.
    """
    if not found.photos:
        return []
    if config.seal.active:
        raise ConfigError(f"{found.photos[0]}: photos are not sealed; leave them out, or mask them without a keyring")
    from pipeline.live.outputs import is_single
    from pipeline.live.steps import check
    from pipeline.photos.results import plan_photos

    if output is not None and is_single(output) and found.videos:
        raise ConfigError(f"{output}: one output for {len(found.videos) + len(found.photos)} sources; give a folder")
    check(config)
    return plan_photos(found.photos, output)


def mask_photos(planned: Sequence[PlannedPhoto], config: Config, *, overwrite: bool = False) -> bool:
    """Masks and writes them, and prints what became of each; true if all were written.

    One that cannot be read, or could not be looked at, is not written.

    Args:
        overwrite: results may replace files that have their names.

    Raises:
        ConfigError, EngineError: the steps do not open.
    """
    from pipeline.live.sources import one_line
    from pipeline.photos.masking import PhotoMasker
    from pipeline.photos.reading import read_photo
    from pipeline.photos.results import write_photo

    limits = config.jail.photo_limits
    table = Table("photo", "faces", "result", title=PHOTOS)
    written = 0
    try:
        with PhotoMasker(config) as masker, Bars() as bars:
            for number, photo in enumerate(planned):
                bars.show(PHOTOS, number, len(planned))
                name = plain(one_line(photo.source.name))
                try:
                    decoded = read_photo(photo.source, limits)
                    masked = masker.mask(decoded.image)
                    write_photo(photo.target, masked.image, overwrite=overwrite)
                except (StreamError, FrameError) as error:
                    words = str(error).removeprefix(f"{photo.source}: ")
                    table.add_row(name, "-", f"[red]not written:[/red] {plain(words)}")
                    continue
                written += 1
                kept = f" ({masked.kept} kept)" if masked.kept else ""
                notes = "".join(f"\n{plain(note)}" for note in decoded.notes)
                table.add_row(name, f"{masked.faces}{kept}", plain(one_line(str(photo.target))) + notes)
    except KeyboardInterrupt:
        console.print(table)
        errors.print("stopped; what is written stays")
        sys.exit(INTERRUPTED)
    console.print(table)
    return written == len(planned)
