"""What the project says about itself is true: packages, version, commands, generated code."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKE_TARGETS = set(re.findall(r"^([a-z]+):.*  ## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_package_of_the_tree_is_shipped() -> None:
    in_tree = [
        ".".join(file.parent.relative_to(ROOT).parts)
        for top in ("pipeline", "operators", "engines")
        for file in (ROOT / top).rglob("__init__.py")
    ]

    assert len(in_tree) > 3
    assert sorted(PYPROJECT["tool"]["setuptools"]["packages"]) == sorted([*in_tree, "pipeline.configs"])


def test_every_config_is_shipped() -> None:
    shipped = PYPROJECT["tool"]["setuptools"]["package-data"]["pipeline.configs"]

    for file in (path for path in (ROOT / "configs").rglob("*") if path.is_file()):
        assert any(file.match(f"configs/{pattern}") for pattern in shipped), file


def test_the_changelog_tells_of_this_version() -> None:
    version = re.escape(PYPROJECT["project"]["version"])

    changelog = (ROOT / "CHANGELOG.md").read_text()

    assert re.search(rf"^## \[?v?{version}\b", changelog, re.MULTILINE)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_make_command_in_the_documents_exists(document: str) -> None:
    code = re.findall(r"```.*?```|`[^`]+`", (ROOT / document).read_text(), re.DOTALL)

    named = set(re.findall(r"(?:^[`\s$]*|&& |=\S+ )make ([a-z]+)", "\n".join(code), re.MULTILINE))

    assert named
    assert named <= MAKE_TARGETS


def test_the_targets_of_the_makefile_are_phony() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert phony is not None
    assert set(phony[1].split()) == MAKE_TARGETS


def test_the_generated_code_is_that_of_the_schema(tmp_path: Path) -> None:
    plugin = Path(sys.executable).with_name("protoc-gen-mypy")
    if not plugin.exists():
        pytest.skip("no protoc-gen-mypy beside this Python")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--plugin={plugin}", f"--proto_path={ROOT / 'proto'}"]
    command += [f"--python_out={tmp_path}", f"--mypy_out=quiet:{tmp_path}", "facewarden.proto"]

    subprocess.run(command, check=True)

    for name in ("facewarden_pb2.py", "facewarden_pb2.pyi"):
        committed = (ROOT / "pipeline" / name).read_text()
        assert (tmp_path / name).read_text() == committed, f"pipeline/{name} is stale; run make proto"
