"""The conditions that figures were taken under: the command, the commit and the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import provenance
from pipeline.provenance import command, commit, machine


@pytest.mark.parametrize(
    ("module", "arguments", "shown"),
    [
        ("pipeline.__main__", ["run", "a clip.mp4"], "facewarden run 'a clip.mp4'"),
        ("bench.bench_keep", ["--seed", "3"], "python -m bench.bench_keep --seed 3"),
        (None, ["-v"], "python tool.py -v"),
        ("pipeline.__main__", ["train", "--json", "/tmp/x.json", "--epochs", "2"], "facewarden train --epochs 2"),
        ("pipeline.__main__", ["train", "--json", "out.json"], "facewarden train"),
        ("pipeline.__main__", ["run", f"{Path.home()}/films/a.mp4"], "facewarden run '~/films/a.mp4'"),
        ("pipeline.__main__", ["train", "--json=/tmp/x.json", "--seed=2"], "facewarden train --seed=2"),
        ("pipeline.__main__", ["run", "rtsp://me:s3cret@cam/live?token=s3cret"], "facewarden run rtsp://cam/live"),
        (
            "pipeline.__main__",
            ["run", "--broker-option=sasl_plain_password=s3cret"],
            "facewarden run '--broker-option=sasl_plain_password=…'",
        ),
        ("pipeline.__main__", ["verify", "caf\udce9.mp4", "b.mp4"], "facewarden verify 'caf?.mp4' b.mp4"),
    ],
    ids=[
        "a command",
        "a bench",
        "a script",
        "a report in the middle",
        "a report at the end",
        "a home",
        "a report by =",
        "a camera's login",
        "a broker's",
        "a name that is no text",
    ],
)
def test_the_command_is_what_a_reader_would_type(
    monkeypatch: pytest.MonkeyPatch, module: str | None, arguments: list[str], shown: str
) -> None:
    spec = SimpleNamespace(name=module) if module else None
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(__spec__=spec))
    monkeypatch.setattr(sys, "argv", ["/opt/bin/tool.py", *arguments])

    assert command() == shown


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of one commit, in which the module seems to lie."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    (tmp_path / "provenance.py").write_text("first\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    return tmp_path


def test_the_commit_is_marked_where_files_differ_from_it(checkout: Path) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)

    clean = commit()
    (checkout / "notes.txt").write_text("of nobody's concern")
    beside = commit()
    (checkout / "provenance.py").write_text("second\n")

    assert clean == beside == head.stdout.strip()
    assert commit() == f"{clean}+"


def test_outside_of_a_checkout_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    outside = commit()
    monkeypatch.setenv("PATH", "")  # and where there is no git

    assert (outside, commit()) == ("unknown", "unknown")


def test_the_machine_is_described_in_words() -> None:
    words = machine().split(", ")

    assert words[-3] == f"{os.cpu_count()} cores"
    assert words[-2].endswith(" GiB") and int(words[-2].removesuffix(" GiB")) > 0
    assert words[-1] == f"Python {'.'.join(map(str, sys.version_info[:3]))}"
