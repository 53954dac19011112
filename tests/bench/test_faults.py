"""What the faults of `make chaos` do: a full disk, a cut wire, a clock that is set."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from bench.faults import WallClock, Wire, fill, mounted, unmounted


def test_a_disk_is_full_for_a_while(tmp_path: Path) -> None:
    disk = tmp_path / "small"
    if not mounted(disk, 16):
        pytest.skip("no disk can be mounted here")
    try:
        filling = Thread(target=fill, args=(disk, 1.0))
        filling.start()
        while os.statvfs(disk).f_bavail and filling.is_alive():
            time.sleep(0.01)
        with pytest.raises(OSError, match="No space left"):
            (disk / "file").write_bytes(b"no room")
        filling.join()
        (disk / "file").write_bytes(b"room")
    finally:
        unmounted(disk)


@pytest.mark.parametrize(
    ("direction", "arrives", "answered"), [("to", False, True), ("from", True, False), ("both", False, False)]
)
def test_a_cut_wire_swallows_what_goes_one_way(direction: str, arrives: bool, answered: bool) -> None:
    if not Wire.is_possible():
        pytest.skip("packets cannot be dropped here")
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        there, _ = server.accept()
        cutting = Thread(target=Wire(server.getsockname()[1]).cut, args=(0.5, direction))
        cutting.start()
        time.sleep(0.2)
        client.sendall(b"asked")
        assert _hears(there, 0.1) == arrives
        there.sendall(b"answer")
        assert _hears(client, 0.1) == answered
        cutting.join()
        assert arrives or _hears(there, 5), "the wire is whole again, and TCP sends anew"
        assert answered or _hears(client, 5)
        client.close()
        there.close()


def _hears(end: socket.socket, seconds: float) -> bool:
    end.settimeout(seconds)
    try:
        return bool(end.recv(100))
    except TimeoutError:
        return False


def test_a_clock_is_set_under_a_process_that_runs(tmp_path: Path) -> None:
    clock = WallClock(tmp_path)
    if not clock.is_possible:
        pytest.skip("no C compiler is here")
    tell = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", tell], env=clock.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for seconds in (0, 3600, -86_400):
            clock.set(seconds)
            process.stdin.write("\n")
            process.stdin.flush()
            wall, monotonic = map(float, process.stdout.readline().split())
            assert wall - time.time() == pytest.approx(seconds, abs=1)
            assert monotonic == pytest.approx(time.monotonic(), abs=1)
        process.stdin.close()
