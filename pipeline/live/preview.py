"""A window with the masked video of one stream, in a process of its own: `facewarden run --preview`.

It reads `masked` like any other sink, so what it shows is what leaves. A window that is closed, or a screen that is
missing, ends the preview and not the run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.frame import to_bgr
from pipeline.brokers import MASKED, Broker, open_broker
from pipeline.jail.installation import python, trusted
from pipeline.live.splicer import Splicer
from pipeline.media import Decoded, Decoder
from pipeline.wire import StreamRecord

SLOTS = 8
KEY_WAIT_MS = 1


def masked_pictures(broker: Broker, stream: str) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a stream, `(h, w, 3)` uint8 BGR, as they are committed, until it ends."""
    reader, splicer = broker.reader(MASKED, stream), Splicer()
    decoder: Decoder | None = None
    try:
        while True:
            for message in reader.read(0.1):
                record = StreamRecord.FromString(message.value)
                if record.WhichOneof("body") == "end":
                    if decoder is not None:
                        decoder.finish()
                        while not decoder.done:
                            yield from _received(decoder, 0.1)
                    return
                for head, packet, _ in splicer.take(record):
                    if head is not None:
                        if decoder is not None:
                            decoder.close()
                        decoder = Decoder(head, slots=SLOTS)
                    if decoder is not None and packet.track == 0:
                        decoder.send(packet)
                        yield from _received(decoder, 0)
            if decoder is not None:
                yield from _received(decoder, 0)
    finally:
        if decoder is not None:
            decoder.close()
        reader.close()


def _received(decoder: Decoder, timeout_s: float) -> Iterator[NDArray[np.uint8]]:
    for item in decoder.receive(timeout_s):
        if isinstance(item, Decoded):
            bgr = to_bgr(item.picture)
            decoder.release(item.slot)
            yield bgr


class PreviewWindow:
    """The child process that shows a stream; `close` takes the window away."""

    def __init__(self, url: str, options: Mapping[str, str], stream: str, title: str) -> None:
        self._process = subprocess.Popen(
            python("pipeline.live.preview", folders=trusted(sys.path, Path.cwd())),
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None  # noqa: S101
        # Through the pipe and not as arguments: the options may hold a password.
        wanted = {"url": url, "options": dict(options), "stream": stream, "title": title}
        self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def _leave_with_the_run() -> None:
    """The pipe ends with the run, whatever way the run ends."""
    sys.stdin.read()
    os._exit(0)


def _show() -> None:
    wanted = json.loads(sys.stdin.readline())
    threading.Thread(target=_leave_with_the_run, daemon=True).start()
    broker = open_broker(wanted["url"], **wanted["options"])
    for bgr in masked_pictures(broker, wanted["stream"]):
        cv2.imshow(wanted["title"], bgr)
        if cv2.waitKey(KEY_WAIT_MS) in (27, ord("q")):
            return


if __name__ == "__main__":
    _show()
