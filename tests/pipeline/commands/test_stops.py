"""What ends a command from outside is answered, and told by its exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.commands.stops import Stopped, StopSignals

ENDING = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_leaves_with_its_number(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in ENDING]

    with pytest.raises(Stopped) as caught, StopSignals(ctrl_c=True):
        os.kill(os.getpid(), number)

    assert caught.value.code == 128 + number
    assert [signal.getsignal(each) for each in ENDING] == before


def test_the_first_may_end_it_in_an_orderly_way_and_the_second_leaves() -> None:
    asked: list[int] = []

    def ask() -> bool:
        asked.append(len(asked))
        return len(asked) == 1

    with pytest.raises(Stopped) as caught, StopSignals(ask):
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked == [0]
        os.kill(os.getpid(), signal.SIGHUP)

    assert (asked, caught.value.code) == ([0, 1], 129)


def test_handlers_that_others_install_are_taken_back() -> None:
    with pytest.raises(Stopped), StopSignals() as signals:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signals.hold()
        os.kill(os.getpid(), signal.SIGTERM)


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals():
            os.kill(os.getpid(), signal.SIGHUP)  # as under nohup
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_every_command_says_by_what_it_was_ended(tmp_path: Path, number: signal.Signals) -> None:
    """A command that waits for its input stands for all."""
    code = (
        "import sys, pipeline.commands.app as app\n"
        "@app.app.command()\n"
        "def wait():\n"
        "    try: print('waits', flush=True), sys.stdin.read()\n"
        f"    finally: open({str(tmp_path / 'list')!r}, 'w').write('written')\n"
        "sys.argv = ['facewarden', 'wait']\n"
        "app.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"waits\n"

    process.send_signal(number)
    process.communicate(timeout=30)

    assert process.returncode == 128 + number
    assert (tmp_path / "list").read_text() == "written"
