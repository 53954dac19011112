"""A camera, and a server that takes pushes, for tests: GStreamer's RTSP server in a process of its own.

GStreamer's Python bindings come from Debian, so the process runs the system's Python, not the project's:
packages gir1.2-gst-rtsp-server-1.0, python3-gi, gstreamer1.0-plugins-good, -bad and -ugly. Run as a script,
this file is that process; imported, it is what starts one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

SYSTEM_PYTHON = Path("/usr/bin/python3")
START_S = 20
PLAY = "( filesrc location={file} ! qtdemux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1 )"
# A transport stream, for it is whole at any instant: mp4mux leaves an empty file when the client just goes.
RECORD = "( rtph264depay name=depay0 ! h264parse ! mpegtsmux ! filesink location={file} )"


class RtspServer:
    """Serves and receives H.264 over RTSP on 127.0.0.1, until it is closed.

    Args:
        play: mp4 files by name: each client of `url(name)` gets the file from its beginning, as fast as it is to be
            shown, then the end of the stream.
        record: files by name, to which what is pushed to `url(name)` is written as an MPEG transport stream.
        port: 0 for a free one; another to come back at the same address.
    """

    def __init__(
        self, *, play: Mapping[str, Path] | None = None, record: Mapping[str, Path] | None = None, port: int = 0
    ) -> None:
        wanted = {"play": _texts(play or {}), "record": _texts(record or {}), "port": port}
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, __file__, json.dumps(wanted)],
            stdin=subprocess.PIPE,  # whose end tells the server that the test is gone
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        assert first, "the RTSP server did not start; its messages are above"
        self.port = int(first)

    @staticmethod
    def missing() -> str:
        """Why it cannot run on this machine; empty if it can."""
        if not SYSTEM_PYTHON.exists():
            return f"no {SYSTEM_PYTHON}"
        found = subprocess.run([SYSTEM_PYTHON, __file__, "--probe"], capture_output=True, text=True, timeout=START_S)
        return found.stdout.strip() if found.returncode == 0 else "no GStreamer for the system's Python"

    def url(self, name: str) -> str:
        return f"rtsp://127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        """Ends it at once, as a power cut ends a camera."""
        self._process.kill()
        self._process.communicate()

    def __enter__(self) -> RtspServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _texts(paths: Mapping[str, Path]) -> dict[str, str]:
    return {name: str(path) for name, path in paths.items()}


def _gstreamer() -> tuple[Any, Any, Any]:
    import gi  # type: ignore[import-not-found, unused-ignore]

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found, unused-ignore]

    Gst.init(None)
    return GLib, Gst, GstRtspServer


def _probe() -> str:
    """The GStreamer elements that are not there."""
    _, gst, _ = _gstreamer()
    needed = ("qtdemux", "h264parse", "rtph264pay", "rtph264depay", "mpegtsmux")
    missing = [name for name in needed if gst.ElementFactory.find(name) is None]
    return f"no GStreamer elements {', '.join(missing)}" if missing else ""


def _serve(wanted: dict[str, Any]) -> None:
    glib, _, rtsp = _gstreamer()
    server = rtsp.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(wanted["port"]))
    points = server.get_mount_points()
    for name, file in wanted["play"].items():
        factory = rtsp.RTSPMediaFactory()
        factory.set_launch(PLAY.format(file=json.dumps(file)))
        points.add_factory(f"/{name}", factory)
    for name, file in wanted["record"].items():
        factory = rtsp.RTSPMediaFactory()
        factory.set_launch(RECORD.format(file=json.dumps(file)))
        factory.set_transport_mode(rtsp.RTSPTransportMode.RECORD)
        factory.set_eos_shutdown(True)
        points.add_factory(f"/{name}", factory)
    assert server.attach(None), f"port {wanted['port']} is taken"
    print(server.get_bound_port(), flush=True)
    loop = glib.MainLoop()
    glib.io_add_watch(sys.stdin, glib.PRIORITY_DEFAULT, glib.IOCondition.HUP, lambda *_: loop.quit())
    loop.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wanted", nargs="?", type=json.loads, help='{"play": {}, "record": {}, "port": 0}')
    parser.add_argument("--probe", action="store_true", help="only say what is missing")
    given = parser.parse_args()
    if given.probe:
        print(_probe())
    else:
        _serve(given.wanted)


if __name__ == "__main__":
    main()
