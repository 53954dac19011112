"""What a run says at its end, and whether that is called complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.commands.console import console
from pipeline.commands.run import _print_outcomes
from pipeline.config import Config, Step
from pipeline.live.events import Event, EventKind
from pipeline.live.run import Run, StreamOutcome
from pipeline.wire import Ledger

WHOLE = Ledger(packets=9, shown=9)


def ended(folder: Path, name: str = "clip.mp4") -> Run:
    """A run of one file that came out whole."""
    (folder / name).touch()
    zones = [Step(use="detect.zones", options={"boxes": [[0, 0, 1, 1]]}), Step(use="deidentify.cover")]
    run = Run([str(folder / name)], None, Config(steps=zones))
    run.outcomes = [StreamOutcome(run.jobs[0], files=(run.jobs[0].output,), ledger=WHOLE)]
    return run


def test_what_came_out_whole_is_complete(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ended(tmp_path)
    run.outcomes[0].notes = ("left out: subtitle track",)

    assert _print_outcomes(run)
    said = capsys.readouterr()
    assert said.err == "clip.mp4: left out: subtitle track\n"
    assert str(tmp_path / "clip_anonymized.mp4") in said.out.splitlines()


@pytest.mark.parametrize(
    ("ledger", "says"),
    [
        (Ledger(packets=9, shown=9, covered_whole=9), "every frame was covered whole; nothing can be seen"),
        (Ledger(packets=9, shown=7), "the ledger does not balance"),
        (Ledger(packets=9, shown=7, withheld={"late": 2}), ""),
    ],
    ids=["nothing can be seen", "frames are missing", "frames were withheld"],
)
def test_what_is_missing_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str], ledger: Ledger, says: str) -> None:
    run = ended(tmp_path)
    run.outcomes[0].ledger = ledger

    assert not _print_outcomes(run)
    assert says in capsys.readouterr().err


def test_a_source_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ended(tmp_path)
    run.outcomes[0].reason = f"{tmp_path / 'clip.mp4'}: is empty"

    assert not _print_outcomes(run)
    assert capsys.readouterr().err == "clip.mp4: is empty\n"
    assert run.outcomes[0].summary == "9 packets, 9 shown, 0 withheld; is empty"


def test_what_happened_to_it_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost, without, reasoned = ended(tmp_path), ended(tmp_path), ended(tmp_path)
    lost.events.add(Event(EventKind.GAP, "7 s without pictures", lost.jobs[0].source.stream))
    without.outcomes[0].files = ()
    reasoned.outcomes[0].reason = "[bold]breaks off[/bold]"

    assert not any(_print_outcomes(run) for run in (lost, without, reasoned))
    said = capsys.readouterr().err
    assert "clip.mp4: gap 1x" in said and "clip.mp4: [bold]breaks off[/bold]" in said


def test_frames_that_were_covered_whole_among_others_are_counted_and_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ended(tmp_path)
    run.outcomes[0].ledger = Ledger(packets=9, shown=9, covered_whole=2)

    assert _print_outcomes(run)
    assert "9 (2 covered whole)" in capsys.readouterr().out


def test_names_are_shown_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "width", 250)

    _print_outcomes(ended(tmp_path, "[bold]x[red].mp4"))

    said = capsys.readouterr().out
    assert "│ [bold]x[red].mp4 " in said and "[bold]x[red]_anonymized.mp4" in said
