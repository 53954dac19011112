"""Our processes import from the installation, whatever the folder, the environment and the user's settings say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.jail import installation
from pipeline.jail.installation import HOME, forget_current_folder, jail_folders, python, trusted

HERE = Path("/uploads")


@pytest.mark.parametrize(
    ("folders", "kept"),
    [
        ([], []),
        (["", ".", "lib", "../lib"], []),
        (["/opt/lib", "/opt/lib"], ["/opt/lib"]),
        (["/uploads", "/uploads/", "/uploads/lib"], ["/uploads/lib"]),
        ([str(HOME), "/opt/lib"], [str(HOME), "/opt/lib"]),
    ],
    ids=["nothing", "relative", "twice", "the current folder", "ours"],
)
def test_what_is_kept_of_a_path(folders: list[str], kept: list[str]) -> None:
    assert trusted(folders, HERE) == kept


def test_our_own_folder_is_kept_also_where_somebody_stands_in_it() -> None:
    assert trusted([str(HOME)], HOME) == [str(HOME)]


def test_another_name_of_the_current_folder_is_known(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert trusted([str(tmp_path / "link")], tmp_path / "real") == []


def test_children_do_not_inherit_it_either(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "/opt/lib", ".", str(tmp_path)]))
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "/opt/lib", str(HOME)])

    forget_current_folder()

    assert sys.path == ["/opt/lib", str(HOME)]
    assert os.environ["PYTHONPATH"] == "/opt/lib"


def test_a_child_finds_its_libraries_where_this_process_did() -> None:
    folders = jail_folders("pipeline.media.decoder_child")

    assert folders[0] == HOME
    assert any((folder / "numpy" / "__init__.py").is_file() for folder in folders)
    assert any((folder / "google" / "protobuf" / "__init__.py").is_file() for folder in folders)


def test_another_python_imports_from_these_folders_alone(tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for folder in (mine, theirs):
        folder.mkdir()
        (folder / "wanted.py").write_text(f"import sys; print({folder.name!r}, sys.argv[1:], __name__)")
        (folder / "sitecustomize.py").write_text("print('customized')")

    done = subprocess.run(
        python("wanted", "a", "b c", folders=[mine]),
        cwd=theirs, env={"PYTHONPATH": str(theirs)}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    assert done.stdout == "mine ['a', 'b c'] __main__\n"


def test_a_library_that_is_not_there_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_JAIL_NEEDS", ("no_such_library_at_all",))

    assert jail_folders.__wrapped__("tests.nobody") == (HOME,)
