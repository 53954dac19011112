"""What sinks of all kinds hand back, and how they speak meanwhile."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

WAIT_S = 0.25
"""How long a sink waits for records at a time."""
Tell = Callable[[str], None]
"""Takes a line that a user has to know at once, from any thread."""


def unheard(_: str) -> None:
    """Where nobody listens."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a sink made of a stream: its files in order, how the stream ended, and what is wrong with the files."""

    files: tuple[str, ...]
    end: bytes
    reason: str = ""

    def to_values(self) -> dict[str, Any]:
        """For `SinkState.save`."""
        return {"files": self.files, "end": base64.b64encode(self.end).decode(), "reason": self.reason}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Written:
        """As `to_values` has made them.

        >>> Written.from_values(Written(("a.mp4",), b"end").to_values())
        Written(files=('a.mp4',), end=b'end', reason='')
        """
        return cls(tuple(values["files"]), base64.b64decode(values["end"]), values["reason"])


def missing_in(where: str, shown: int, there: int) -> str:
    """A sentence where fewer frames are there than were shown, else nothing.

    >>> missing_in("the file", 8, 6)
    '2 of 8 shown frames are missing in the file'
    """
    return f"{shown - there} of {shown} shown frames are missing in {where}" if there < shown else ""
