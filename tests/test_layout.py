"""Everything has one home, and imports point down: pipeline -> operators -> engines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from pipeline import wire

ROOT = Path(__file__).parents[1]
FLOORS = {"engines": 1, "operators": 2, "pipeline": 3}
OUTSIDE = ("tests", "bench")

RANKS = (
    {"facewarden_pb2", "private"},
    {"jail", "wire", "provenance"},
    {"config"},
    {"media", "brokers", "models"},
    {"sealing"},
    {"live"},
    {"screening", "training", "tuning", "judging", "photos"},
    {"service"},
    {"commands"},
    {"__main__"},
)
"""What stands in `pipeline/`, from what knows nothing of the rest on. Imports go to lower ranks only."""

TESTS_PER_LINE = 0.8
LOOSE_FILES = 6
"""So many files may lie beside the folders in `pipeline/`."""

HOMES = {
    "av": ("pipeline/media/*", "operators/forge/codec.py"),
    "kafka": ("pipeline/brokers/kafka_*.py",),
    "sqlite3": ("pipeline/brokers/sqlite_*.py",),
    "ray": (
        "pipeline/live/run.py",
        "pipeline/live/actors.py",
        "pipeline/live/ray_session.py",
        "pipeline/live/ray_paths.py",
        "pipeline/live/devices.py",
        "pipeline/training/ray_jobs.py",
    ),
    "yaml": (
        "pipeline/config.py",
        "pipeline/commands/training.py",
        "pipeline/models/catalog.py",
        "pipeline/training/recipe.py",
    ),
    "pipeline.facewarden_pb2": ("pipeline/wire.py",),
    "cryptography": ("pipeline/sealing/*.py", "pipeline/private/key_chains.py"),
    "Crypto": ("pipeline/sealing/shares.py",),
    "onnxruntime": ("engines/ort.py", "engines/precision.py", "engines/int8.py"),
}
"""Libraries and generated code that only some files may know."""

READS_ENVIRONMENT = {
    "pipeline/models/indexes.py": "pip and uv are set up by it, where no file says so",
    "pipeline/models/catalog.py": "where the user's cache of models is",
    "pipeline/commands/run.py": "a password must not stand on the command line",
    "pipeline/sealing/keys.py": "a master key may be handed over there, and is taken out of it",
    "pipeline/live/ray_session.py": "Ray takes its token, its mode and its addresses from nowhere else",
    "pipeline/live/sources.py": "a camera's password must not stand on the command line",
    "pipeline/jail/installation.py": "what children inherit of it must not name the current folder",
    "pipeline/jail/parent.py": "a child gets none of it, but for the path of shared libraries",
}
LARGEST_CLASS, MOST_ATTRIBUTES = 200, 15
LARGE_CLASSES: dict[str, str] = {}
"""Classes of more lines or attributes than these, each with its reason."""
CATCHES_ALL = {
    "pipeline/live/release.py": "around one frame: whatever an operator raises, that frame is covered or withheld",
    "pipeline/live/worker.py": "around one stream: whatever it raises, it begins again, and the others go on",
}


@dataclass(frozen=True)
class Source:
    """A file of the project; `path` is relative to its root."""

    path: str
    tree: ast.Module

    @property
    def floor(self) -> str:
        return self.path.split("/")[0]

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_operator(self) -> bool:
        names = [target for node in self.tree.body if isinstance(node, ast.Assign) for target in node.targets]
        return any(isinstance(name, ast.Name) and name.id == "OPERATOR" for name in names)

    def imports(self) -> Iterator[str]:
        """Dotted names; of `from a import b`, both `a` and `a.b`, for b may be a module."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno}: write the whole name of what you import"
                yield str(node.module)
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(*tops: str) -> list[Source]:
    files = [file for top in tops for file in sorted((ROOT / top).rglob("*.py"))]
    return [Source(file.relative_to(ROOT).as_posix(), ast.parse(file.read_text())) for file in files]


SOURCES = sources(*FLOORS)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_files_were_found() -> None:
    assert {source.floor for source in SOURCES} == set(FLOORS)
    assert len(SOURCES) > 25
    assert sum(source.is_operator for source in SOURCES) > 4
    assert {"pipeline.config", "operators.frame"} <= {name for source in SOURCES for name in source.imports()}


def test_imports_point_down() -> None:
    wrong = [
        f"{source.path} imports {name}"
        for source in SOURCES
        for name in source.imports()
        if FLOORS.get(name.split(".")[0], 0) > FLOORS[source.floor] or name.split(".")[0] in OUTSIDE
    ]

    assert not wrong


def test_imports_in_the_pipeline_go_to_lower_ranks() -> None:
    rank = {name: number for number, names in enumerate(RANKS) for name in names}

    wrong = [
        f"{source.path} imports {name}"
        for source in SOURCES
        if within(source.module, "pipeline") and source.module != "pipeline"
        for name in source.imports()
        if name.startswith("pipeline.")
        and name.split(".")[1] != source.module.split(".")[1]
        and rank[name.split(".")[1]] >= rank[source.module.split(".")[1]]
    ]

    assert not wrong


def test_few_files_lie_loose_in_the_pipeline() -> None:
    assert 1 < len(list((ROOT / "pipeline").glob("*.py"))) <= LOOSE_FILES


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports inside of functions count too: a circle that is only put off is one. What a package's own `__init__`
    opens on demand, a runtime or a broker, may import it."""
    modules = {source.module for source in SOURCES}
    graph = {
        source.module: {name for name in source.imports() if name in modules and not within(name, source.module)}
        for source in SOURCES
    }

    assert tuple(TopologicalSorter(graph).static_order())


def names_of(source: Source) -> Iterator[str]:
    """Classes, types of messages and names for types, without leading underscores."""
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name.lstrip("_")
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id.lstrip("_")
            if name[:1].isupper() and not name.isupper() and not ast.unparse(node.value).startswith("TypeVar("):
                yield name


def test_no_name_stands_for_two_things() -> None:
    homes: dict[str, set[str]] = {name: {"proto"} for name in wire.__all__ if isinstance(getattr(wire, name), type)}
    for source in sources(*FLOORS, "bench"):
        for name in names_of(source):
            homes.setdefault(name, set()).add(source.path)

    assert len(homes) > 100
    assert not {name: sorted(found) for name, found in homes.items() if len(found) > 1}


@pytest.mark.parametrize("top", ["pipeline", "operators"])
def test_there_is_a_test_line_for_most_lines(top: str) -> None:
    lines = {
        folder: sum(
            len(file.read_text().splitlines()) for file in (ROOT / folder).rglob("*.py") if "_pb2" not in file.name
        )
        for folder in (top, f"tests/{top}")
    }

    assert lines[f"tests/{top}"] >= TESTS_PER_LINE * lines[top], lines


def test_large_classes_have_a_reason() -> None:
    large = {
        node.name
        for source in SOURCES
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
        and ((node.end_lineno or 0) - node.lineno >= LARGEST_CLASS or len(attributes_of(node)) > MOST_ATTRIBUTES)
    }

    assert large == set(LARGE_CLASSES)


def attributes_of(cls: ast.ClassDef) -> set[str]:
    """What its methods set on `self`."""
    return {
        node.attr
        for node in ast.walk(cls)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def test_no_system_imports_another() -> None:
    """What two of them share lives above them, and is not an operator itself."""
    operators = {source.module for source in SOURCES if source.is_operator}
    folders = {module.removesuffix(".operator") for module in operators if module.endswith(".operator")}

    wrong = [
        f"{source.path} imports {name}"
        for source in SOURCES
        if source.floor == "operators"
        for name in source.imports()
        if any(within(name, other) and not within(source.module, other) for other in operators | folders)
    ]

    assert not wrong


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library: str) -> None:
    users = {source.path for source in SOURCES if any(within(name, library) for name in source.imports())}

    assert users
    assert not [user for user in users if not any(fnmatch(user, home) for home in HOMES[library])]


def test_few_files_read_the_environment() -> None:
    readers = {
        source.path
        for source in SOURCES
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }

    assert readers
    assert readers <= set(READS_ENVIRONMENT)


def test_one_place_catches_everything() -> None:
    """Elsewhere, what catches everything cleans up and raises it again."""
    catchers = [
        source.path
        for source in SOURCES
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler) and _catches_all(node) and not _raises_again(node)
    ]

    assert sorted(catchers) == sorted(CATCHES_ALL)


def _catches_all(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(name is None or ast.unparse(name) in ("Exception", "BaseException") for name in names)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


@pytest.mark.parametrize("folder", ["proto", "configs"])
def test_folders_that_hold_no_python(folder: str) -> None:
    found = [path for path in (ROOT / folder).rglob("*") if path.is_file()]

    assert found
    assert not [path for path in found if path.suffix in (".py", ".pyi")]


def test_no_file_hides_a_library_or_says_nothing() -> None:
    taken = {"torch", "kafka", "ray", "av", "cv2", "numpy", "onnx", "yaml"}

    names = {Path(source.path).stem for source in sources(*FLOORS, *OUTSIDE)}

    assert not {"utils", "util", "helpers", "misc", "common"} & names
    assert not taken & names


@pytest.mark.parametrize("source", [s for s in SOURCES if not s.path.endswith("_pb2.py")], ids=lambda s: s.path)
def test_a_file_says_what_it_is(source: Source) -> None:
    assert not source.tree.body or ast.get_docstring(source.tree)
