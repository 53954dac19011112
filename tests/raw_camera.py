"""A camera made by hand, with faults that no server program has: RTSP over TCP or UDP in a thread, H.264 and G.711.

`rtsp_server` is the healthy one.
"""

from __future__ import annotations

import base64
import socket
import socketserver
import struct
import threading
import time
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Any

import av

SOUND_STEP_S, PAYLOAD = 0.04, 1300


@dataclass(frozen=True, kw_only=True)
class Faults:
    """What is wrong with it.

    Attributes:
        status: the answer to DESCRIBE.
        only_udp: TCP is refused.
        sound: it sends silence as well.
        pictures_from_s, pictures_until_s: when it sends pictures, by the time since PLAY.
    """

    status: str = "200 OK"
    only_udp: bool = False
    sound: bool = False
    pictures_from_s: float = 0.0
    pictures_until_s: float = 1e9


class RawCamera:
    """Shows the H.264 of an mp4 without B-frames, again and again, to each client from its beginning.

    Attributes:
        described: how often somebody asked for a description.
    """

    def __init__(self, clip: Path, faults: Faults, *, rate: float = 25.0) -> None:
        self.described = 0
        self.faults, self.rate = faults, rate
        self.sets, self.pictures = _units(clip)
        camera = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                _Client(camera, self.rfile, self.wfile, self.client_address[0]).serve()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, login: str = "") -> str:
        return f"rtsp://{login}127.0.0.1:{self._server.server_address[1]}/door"

    def __enter__(self) -> RawCamera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Client:
    def __init__(self, camera: RawCamera, rfile: Any, wfile: Any, address: str) -> None:
        self._camera, self._rfile, self._wfile, self._address = camera, rfile, wfile, address
        self._lock = threading.Lock()
        self._ways: dict[bool, Any] = {}
        self._open = True

    def serve(self) -> None:
        try:
            while self._open and (first := self._rfile.read(1)):
                if first == b"$":  # the client's reports
                    self._rfile.read(int.from_bytes(self._rfile.read(3)[1:], "big"))
                elif first.strip():
                    self._answer((first + self._rfile.readline()).decode().split())
        except (OSError, ValueError):
            pass
        self._open = False

    def _answer(self, request: list[str]) -> None:
        fields = {}
        while line := self._rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        verb, address, status, more, body = request[0], request[1], "200 OK", {"Session": "7"}, ""
        if verb == "DESCRIBE":
            self._camera.described += 1
            status = self._camera.faults.status
            body = self._description() if status == "200 OK" else ""
            more = {"Content-Base": address + "/", "Content-Type": "application/sdp"}
            more |= {"WWW-Authenticate": 'Basic realm="door"'} if status.startswith("401") else {}
        elif verb == "SETUP":
            tcp = "TCP" in fields["transport"]
            if tcp and self._camera.faults.only_udp:
                status = "461 Unsupported Transport"
            else:
                more["Transport"] = self._set_up(fields["transport"], tcp, "sound" in address)
        head = [f"RTSP/1.0 {status}", f"CSeq: {fields['cseq']}", f"Content-Length: {len(body)}"]
        self._write("\r\n".join([*head, *(f"{k}: {v}" for k, v in more.items()), "", body]).encode())
        if verb == "PLAY":
            threading.Thread(target=self._play, daemon=True).start()
        self._open &= verb != "TEARDOWN"

    def _description(self) -> str:
        sets = ",".join(base64.b64encode(unit).decode() for unit in self._camera.sets)
        lines = ["v=0", "o=- 7 7 IN IP4 127.0.0.1", "s=door", "c=IN IP4 0.0.0.0", "t=0 0", "m=video 0 RTP/AVP 97"]
        lines += ["a=rtpmap:97 H264/90000", f"a=fmtp:97 packetization-mode=1;sprop-parameter-sets={sets}"]
        lines += ["a=control:pictures"]
        if self._camera.faults.sound:
            lines += ["m=audio 0 RTP/AVP 8", "a=rtpmap:8 PCMA/8000/1", "a=control:sound"]
        return "".join(f"{line}\r\n" for line in lines)

    def _set_up(self, wanted: str, tcp: bool, sound: bool) -> str:
        if tcp:
            channel = int(wanted.split("interleaved=")[1].split("-")[0])
            self._ways[sound] = lambda packet: self._write(struct.pack(">cBH", b"$", channel, len(packet)) + packet)
            return wanted
        port = int(wanted.split("client_port=")[1].split("-")[0])
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind(("127.0.0.1", 0))
        self._ways[sound] = lambda packet: sender.sendto(packet, (self._address, port))
        return f"{wanted};server_port={sender.getsockname()[1]}-{sender.getsockname()[1] + 1}"

    def _write(self, data: bytes) -> None:
        with self._lock:
            self._wfile.write(data)

    def _play(self) -> None:
        try:
            self._send_all()
        except OSError:
            self._open = False

    def _send_all(self) -> None:
        began, faults, sent, sounded = time.monotonic(), self._camera.faults, 0, 0
        for number, (key, units) in enumerate(cycle(self._camera.pictures)):
            due = began + number / self._camera.rate
            while self._open and time.monotonic() < due:
                if faults.sound and sounded * SOUND_STEP_S < time.monotonic() - began:
                    self._send(True, sounded, sounded * 320, False, b"\xd5" * 320)
                    sounded += 1
                time.sleep(0.005)
            if not self._open:
                return
            if not faults.pictures_from_s <= time.monotonic() - began < faults.pictures_until_s:
                continue
            parts = [part for unit in (self._camera.sets + units if key else units) for part in _fragments(unit)]
            for k, part in enumerate(parts):
                stamp = round(number / self._camera.rate * 90000)
                self._send(False, sent, stamp, k == len(parts) - 1, part)
                sent += 1

    def _send(self, sound: bool, number: int, stamp: int, last: bool, payload: bytes) -> None:
        kind = 8 if sound else 97
        self._ways[sound](struct.pack(">BBHII", 0x80, last << 7 | kind, number & 0xFFFF, stamp, 7 + sound) + payload)


def _units(clip: Path) -> tuple[list[bytes], list[tuple[bool, list[bytes]]]]:
    """Parameter sets; and of each picture whether it is a key and its units."""
    with av.open(str(clip)) as file:
        stream = file.streams.video[0]
        extra, at, sets = bytes(stream.codec_context.extradata or b""), 5, []
        for mask in (31, 255):
            count, at = extra[at] & mask, at + 1
            for _ in range(count):
                size = int.from_bytes(extra[at : at + 2], "big")
                sets.append(extra[at + 2 : at + 2 + size])
                at += 2 + size
        return sets, [(p.is_keyframe, list(_lengthed(bytes(p)))) for p in file.demux(stream) if p.size]


def _lengthed(data: bytes) -> list[bytes]:
    units = []
    while data:
        size = int.from_bytes(data[:4], "big")
        if data[4] & 31 not in (7, 8, 9):
            units.append(data[4 : 4 + size])
        data = data[4 + size :]
    return units


def _fragments(unit: bytes) -> list[bytes]:
    if len(unit) <= PAYLOAD:
        return [unit]
    starts = range(1, len(unit), PAYLOAD)
    marks = [(0x80 if at == 1 else 0) | (0x40 if at + PAYLOAD >= len(unit) else 0) for at in starts]
    return [
        bytes([unit[0] & 0xE0 | 28, mark | unit[0] & 31]) + unit[at : at + PAYLOAD]
        for at, mark in zip(starts, marks, strict=True)
    ]
