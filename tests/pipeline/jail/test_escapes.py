"""Nothing that a taken-over child tries gets it out, and nothing outside has changed afterwards."""

from __future__ import annotations

import json
import os
import platform
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engines import FrameError
from pipeline.jail import call_filter, landlock, parent
from pipeline.jail.call_filter import Profile
from pipeline.jail.parent import Jail
from tests.pipeline.jail.acting import LIMITS
from tests.pipeline.jail.escapes import contents, prepare

ROLE = "tests.pipeline.jail.escaping"
FEWEST = 400
filters = pytest.mark.skipif(not call_filter.program("closed"), reason=call_filter.MISSING)
landlocked = pytest.mark.skipif(landlock.version() < 4, reason="this kernel has no Landlock that knows of TCP")


def escape(profile: Profile, way: str, **settings: Any) -> Jail:
    given = {"way": way, "parent": os.getpid(), **settings}
    return Jail(ROLE, given, LIMITS, error=FrameError, subject="x", profile=profile, address=1)


def said(profile: Profile, folder: Path, way: str = "all") -> dict[str, str]:
    """What became of each deed, after it was seen that nothing has changed."""
    prepare(folder)
    before = contents(folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        with escape(profile, way, folder=str(folder), port=listener.getsockname()[1]) as child:
            message = child.receive(30)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert contents(folder) == before
    assert message is not None
    answers: dict[str, str] = json.loads(message.payload)
    return answers


@filters
def test_nothing_that_is_tried_is_done(tmp_path: Path) -> None:
    answers = said("closed", tmp_path)

    assert len(answers) > FEWEST
    assert {name: answer for name, answer in answers.items() if not answer.startswith("refused")} == {}


@filters
@landlocked
def test_who_reads_a_camera_reaches_that_and_finds_out_where_it_is(tmp_path: Path) -> None:
    """Sockets of the internet, and what looks up a name; its port is the only one, and no file is ours."""
    answers = said("network", tmp_path)

    done = {name for name, answer in answers.items() if not answer.startswith("refused")}
    sockets = {f"socket {family} {kind}" for family in (2, 10) for kind in ("SOCK_STREAM", "SOCK_DGRAM")}
    calls = {"connect", "bind", "sendmsg", "sendmmsg", "recvmmsg", "setsockopt", "access", "faccessat"}
    assert done - calls <= sockets | {
        *call_filter._FILES.split(),
        "open",
        "find by path",
        "openat",
        "protect 1",
        "map 4",
        "map 5",
        "protect 4",
        "protect 5",
    }
    assert sockets <= done


@landlocked
def test_without_the_filter_files_and_ports_stay_shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "filters_calls", lambda: False)

    answers = said("closed", tmp_path, "files")

    assert {name: answer for name, answer in answers.items() if answer.startswith("done")} == {}
    assert sum(answer.startswith("refused") for answer in answers.values()) > FEWEST / 10


@filters
def test_without_landlock_the_filter_holds_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)

    answers = said("closed", tmp_path)

    assert Counter(answer.partition(":")[0] for answer in answers.values()) == {"refused": len(answers)}


@filters
@pytest.mark.skipif(platform.machine() != "x86_64", reason="of this processor only")
@pytest.mark.parametrize("way", ["int80", "x32"])
def test_a_call_by_another_abi_ends_the_child(way: str) -> None:
    with escape("closed", way) as child, pytest.raises(FrameError, match=r"was killed by SIG(SYS|SEGV)"):
        child.receive(10)
