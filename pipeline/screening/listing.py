"""The list of all videos that were screened into a folder, which grows: by each video, run after run."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from engines import ConfigError
from engines.files import write_whole
from pipeline.screening.page import index_page
from pipeline.screening.report import OUTCOMES, ListedVideo, OutcomeCounts, ScreeningList

INDEX, LIST = "index.html", "screen.json"


class GrowingList:
    """`index.html` and `screen.json` of one folder; several processes may write into it in turn.

    Raises:
        ConfigError: what lies there under these names is none of ours.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before()

    def write(self, rows: Sequence[ListedVideo], make: Callable[[Sequence[ListedVideo]], ScreeningList]) -> None:
        """Adds rows, in the place of those that are about the same bytes under the same name.

        Args:
            make: the list for programs, of all rows.
        """
        with _locked(self._folder):
            before = self._before()
            made = make(merged(before.videos if before else (), rows))
            if before is not None:
                made = made.model_copy(update={"models": {**before.models, **made.models}})
            page = index_page(made.videos, made.counts, made.facewarden)
            write_whole(self._folder / INDEX, page.encode())
            write_whole(self._folder / LIST, made.to_json())

    def _before(self) -> ScreeningList | None:
        file = self._folder / LIST
        try:
            return ScreeningList.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise ConfigError(f"{file}: expected a list of this format, got another; choose another folder") from error


def merged(before: Iterable[ListedVideo], rows: Sequence[ListedVideo]) -> tuple[ListedVideo, ...]:
    """The rows of before that are about something else, then the new ones."""
    known = {(row.source.path, sha256) for row in rows for sha256 in (row.source.sha256, None)}
    return (*(row for row in before if (row.source.path, row.source.sha256) not in known), *rows)


def counted(rows: Iterable[ListedVideo]) -> OutcomeCounts:
    """Videos by outcome, and those that are not `complete`."""
    rows = tuple(rows)
    outcomes = Counter[str](row.outcome for row in rows)
    return OutcomeCounts(
        **{name: outcomes[name] for name in OUTCOMES}, incomplete=sum(not row.complete for row in rows)
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
