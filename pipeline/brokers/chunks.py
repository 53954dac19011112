"""Large values in small messages: the sender splits them into chunk records, the receiver joins them.

A chunk has the header `chunk` = `b"index/count"`; the first chunk also has the value's own headers. Chunks of one value
are in order in one partition, but records of other streams may lie between them. An incomplete value is dropped when
the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.brokers import MAX_MESSAGE_BYTES, Record

CHUNK = "chunk"
Headers = Mapping[str, bytes]


def split(value: bytes, headers: Headers, limit: int = MAX_MESSAGE_BYTES) -> Iterator[tuple[bytes, Headers]]:
    """Chunks of at most `limit` bytes, each with its headers. A value that fits is returned unchanged, as one chunk.

    >>> [(part, headers["chunk"]) for part, headers in split(b"abcde", {}, limit=2)]
    [(b'ab', b'0/3'), (b'cd', b'1/3'), (b'e', b'2/3')]
    """
    if len(value) <= limit:
        yield value, headers
        return
    count = -(-len(value) // limit)
    for index in range(count):
        own = headers if index == 0 else {}
        yield value[index * limit : (index + 1) * limit], {**own, CHUNK: b"%d/%d" % (index, count)}


def begins(headers: Headers) -> bool:
    """Whether these are the headers of the first chunk of a value, or of a whole value.

    >>> begins({}), begins({"chunk": b"0/3"}), begins({"chunk": b"1/3"})
    (True, True, False)
    """
    return headers.get(CHUNK, b"0/").startswith(b"0/")


class Joiner:
    """Joins the chunks of one stream in one topic."""

    def __init__(self, topic: str, stream: str) -> None:
        self._topic, self._stream = topic, stream
        self._parts: list[bytes] = []
        self._offset = 0
        self._headers: Headers = {}

    def add(self, offset: int, value: bytes, headers: Headers) -> Record | None:
        """Adds the next chunk. Returns the whole value if this was its last chunk.

        >>> joiner = Joiner("packets", "walk")
        >>> joiner.add(5, b"ab", {"chunk": b"0/2"})
        >>> joiner.add(6, b"c", {"chunk": b"1/2"}).value
        b'abc'
        """
        numbering = headers.get(CHUNK)
        if numbering is None:
            self._parts = []
            return Record(self._topic, self._stream, offset, offset + 1, value, headers)
        index, count = map(int, numbering.split(b"/"))
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
