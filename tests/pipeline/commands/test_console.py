"""A user's mistake is one sentence on the terminal, whatever stands in it."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner, Result

from engines import ConfigError, EngineError, FacewardenError, FrameError, StreamError
from pipeline.commands.console import WRONG, plain_errors, say_what_is_missing


def raising(error: BaseException) -> Result:
    """What comes of a command that ends with an error."""
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        with plain_errors():
            raise error

    return CliRunner().invoke(app)


@pytest.mark.parametrize("kind", [ConfigError, EngineError, FrameError, StreamError])
def test_all_errors_of_the_project_end_in_the_same_way(kind: type[FacewardenError]) -> None:
    done = raising(kind("no such file; name one that is there"))

    assert (done.exit_code, done.stdout) == (WRONG, "") == (2, "")  # the code that scripts know
    assert done.stderr == "error: no such file; name one that is there\n"


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        ("[bold]x[/bold] and [/red]", "[bold]x[/bold] and [/red]"),
        ("a\x1b[31mred\x07 name", "a?[31mred? name"),
        ("several\nlines", "several\nlines"),
        ("\u202egpj.exe", "?gpj.exe"),
        ("long " * 60 + "end", "long " * 60 + "end"),
    ],
    ids=["markup", "terminal codes", "lines", "right to left", "a long line"],
)
def test_a_strangers_words_do_nothing_to_the_terminal(words: str, printed: str) -> None:
    assert raising(ConfigError(words)).stderr == f"error: {printed}\n"


def test_a_mistake_of_the_program_is_not_hidden() -> None:
    done = raising(RuntimeError("a bug"))

    assert isinstance(done.exception, RuntimeError) and done.exit_code == 1
    assert "error:" not in done.stderr


def test_what_goes_well_is_let_through() -> None:
    with plain_errors():
        pass

    with pytest.raises(typer.Exit) as ended, plain_errors():
        raise typer.Exit(3)
    assert ended.value.exit_code == 3


def test_a_file_that_cannot_be_used_is_one_sentence() -> None:
    done = raising(PermissionError(13, "Permission denied", "/srv/[x]/rtsp://me:secret@cam/a"))

    assert (done.exit_code, done.stderr) == (2, "error: /srv/[x]/rtsp://cam/a: Permission denied\n")


@pytest.mark.parametrize("lacking", ["", "the jail is weaker here. files: [none]"])
def test_what_the_jail_lacks_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lacking: str
) -> None:
    monkeypatch.setattr("pipeline.commands.console.missing", lambda: lacking)

    say_what_is_missing()

    assert capsys.readouterr().err == (f"note: {lacking}\n" if lacking else "")
