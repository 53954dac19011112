"""Messages come out as they went in, however the socket cuts them; and a stranger's words do no harm."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.jail.protocol import Channel, Received, pack, printable, readable, unpack

messages = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=8)
lengths = st.lists(st.integers(1, 17), min_size=1, max_size=8)


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """The data in chunks of these sizes, which repeat."""
    chunks: list[bytes] = []
    start = 0
    while start < len(data):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[start : start + size])
        start += size
    return chunks


@given(messages, lengths)
def test_messages_survive_any_chunking(sent: list[tuple[int, bytes]], sizes: list[int]) -> None:
    whole = b"".join(pack(kind, payload) for kind, payload in sent)

    received, unread = [], bytearray()
    for chunk in cut(whole, sizes):
        unread += chunk
        while (message := unpack(unread)) is not None:
            received.append(message)

    assert received == sent
    assert unread == b""


@given(st.lists(st.binary(max_size=10), max_size=4))
def test_parts_of_a_payload_are_one(parts: list[bytes]) -> None:
    assert pack(3, *parts) == pack(3, b"".join(parts))


def test_a_header_is_a_kind_and_a_little_endian_length() -> None:
    assert pack(7, b"abc") == b"\x07\x03\x00\x00\x00abc"


@pytest.mark.parametrize("missing", range(1, 9))
def test_a_message_that_is_not_whole_is_left_where_it_is(missing: int) -> None:
    unread = bytearray(pack(7, b"abc")[:-missing])
    before = bytes(unread)

    assert unpack(unread) is None
    assert unread == before


def test_a_message_that_is_too_long_is_refused_by_its_header() -> None:
    header = pack(7, bytes(5))[:5]

    assert unpack(bytearray(header), longest=5) is None
    with pytest.raises(ValueError, match="a message of 5 bytes, at most 4 were expected"):
        unpack(bytearray(header), longest=4)


@given(messages, lengths)
def test_a_channel_takes_messages_out_of_any_chunks(sent: list[tuple[int, bytes]], sizes: list[int]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(theirs)
        received: list[Received] = []
        for chunk in cut(b"".join(pack(*message) for message in sent), sizes):
            ours.sendall(chunk)
        ours.shutdown(socket.SHUT_WR)
        received.extend(islice(iter(channel.receive, None), len(sent)))

        assert received == sent
        with pytest.raises(EOFError):
            channel.receive()


def test_a_channel_sends_what_the_other_end_unpacks() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Channel(theirs).send(2, b"a", b"bc")
        Channel(theirs).send_packed(pack(3) + pack(4, b"d"))
        unread = bytearray(ours.recv(100))

    assert [unpack(unread) for _ in range(4)] == [(2, b"abc"), (3, b""), (4, b"d"), None]


def test_descriptors_come_in_the_order_of_their_messages() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(theirs)
        made = [os.memfd_create(name) for name in ("first", "second")]
        for descriptor in made:
            socket.send_fds(ours, [pack(1)], [descriptor])
        channel.receive()
        channel.receive()
        came = [channel.descriptor(), channel.descriptor()]

        assert [os.fstat(d).st_ino for d in came] == [os.fstat(d).st_ino for d in made]
        for descriptor in made + came:
            os.close(descriptor)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (b"plain words", "plain words"),
        (b"\x1b[31mred\x07\n", " [31mred  "),
        ("größer".encode(), "größer"),
        (b"cut \xff off", "cut \ufffd off"),
        (b"x" * 600, "x" * 500),
    ],
    ids=["plain", "escapes", "umlauts", "no text", "long"],
)
def test_words_of_a_child_fit_a_log(words: bytes, shown: str) -> None:
    assert printable(words) == shown


@given(st.binary(max_size=600))
def test_no_words_of_a_child_reach_a_terminal_as_control_characters(words: bytes) -> None:
    shown = printable(words)

    assert shown.isprintable()
    assert len(shown) <= 500


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nb", "a\nb"), ("a\tb\x1b[2J", "a?b?[2J"), ("\udcff.mp4", "?.mp4"), ("größe", "größe"), ("\u202eab", "?ab")],
    ids=["lines", "control characters", "no text", "umlauts", "reversed writing"],
)
def test_a_strangers_name_fits_a_terminal(name: str, shown: str) -> None:
    assert readable(name) == shown
