"""Large values in small messages: split into chunk records, and joined again on the other side.

A chunk carries the header `chunk` = `b"index/count"`, the first one the value's own headers too. Chunks of one value
lie in order in one partition, though not side by side. A run that broke off is forgotten when the next begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.brokers import MAX_MESSAGE_BYTES, Record

CHUNK = "chunk"
Headers = Mapping[str, bytes]


def split(value: bytes, headers: Headers, limit: int = MAX_MESSAGE_BYTES) -> Iterator[tuple[bytes, Headers]]:
    """Pieces of at most `limit` bytes, each with its headers; a value that fits is one piece, as it is."""
    if len(value) <= limit:
        yield value, headers
        return
    count = -(-len(value) // limit)
    for index in range(count):
        own = headers if index == 0 else {}
        yield value[index * limit : (index + 1) * limit], {**own, CHUNK: b"%d/%d" % (index, count)}


def begins(headers: Headers) -> bool:
    """Whether a value begins with the piece that has these headers."""
    return headers.get(CHUNK, b"0/").startswith(b"0/")


class Joiner:
    """Joins the pieces of one stream in one topic."""

    def __init__(self, topic: str, stream: str) -> None:
        self._topic, self._stream = topic, stream
        self._parts: list[bytes] = []
        self._offset = 0
        self._headers: Headers = {}

    def add(self, offset: int, value: bytes, headers: Headers) -> Record | None:
        """The whole value, once its last piece is here."""
        place = headers.get(CHUNK)
        if place is None:
            self._parts = []
            return Record(self._topic, self._stream, offset, offset + 1, value, headers)
        index, count = map(int, place.split(b"/"))
        if index == 0:
            self._parts, self._offset = [], offset
            self._headers = {key: text for key, text in headers.items() if key != CHUNK}
        elif index != len(self._parts):
            self._parts = []
            return None
        self._parts.append(value)
        if len(self._parts) < count:
            return None
        whole, self._parts = b"".join(self._parts), []
        return Record(self._topic, self._stream, self._offset, offset + 1, whole, self._headers)
