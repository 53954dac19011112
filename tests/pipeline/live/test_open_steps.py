"""What a config's steps are checked for, and how they are opened: each name, option and model, before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engines import ConfigError, Engine, EngineError
from engines.card import Card, write_card
from engines.files import sha256_of
from operators.frame import Frame
from pipeline.config import Config, EncodeSection, SealSection, Step
from pipeline.live.steps import check, open_steps, with_absolute_files

ZONES = Step(use="detect.zones", options={"boxes": [[0, 0, 1, 1]]})


class Plain:
    """An operator with one network, one file and two options, which finds nothing."""

    finds_faces = False

    def __init__(self, network: Engine, file: Path, *, strength: float, times: int = 1) -> None:
        self.network, self.file, self.strength, self.times = network, file, strength, times

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        return list(frames)


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """The operator `detect.plain` is there, and so are its models."""
    module: Any = ModuleType("operators.detect.plain")
    module.OPERATOR = Plain
    monkeypatch.setitem(sys.modules, "operators.detect.plain", module)
    paths = {"network": tmp_path / "net.onnx", "file": tmp_path / "points.dat"}
    for path in paths.values():
        path.touch()
    return {name: str(path) for name, path in paths.items()}


def plain(models: Mapping[str, str], **options: Any) -> Step:
    return Step(use="detect.plain", engines=dict(models), options={"strength": 0.5, **options})


def no_network(_: Path) -> Engine:
    raise AssertionError("nothing may be opened")


def test_a_config_whose_names_are_all_known_passes(models: dict[str, str]) -> None:
    check(Config(steps=[plain(models, times=3), ZONES, Step(use="track"), Step(use="deidentify.cover")]))


@pytest.mark.parametrize(
    ("engines", "options", "says"),
    [
        pytest.param({}, {"color": 1}, r"detect\.plain.*color", id="an option that it does not have"),
        pytest.param({"neural": "x.onnx"}, {}, r"detect\.plain: no engine 'neural'", id="an engine it does not have"),
        pytest.param({"network": "gone.onnx"}, {}, r"detect\.plain: gone\.onnx: no such file", id="no such model"),
    ],
)
def test_a_mistake_in_a_step_is_named(
    models: dict[str, str], engines: dict[str, str], options: dict[str, Any], says: str
) -> None:
    step = Step(use="detect.plain", engines={**models, **engines}, options={"strength": 0.5, **options})

    with pytest.raises(ConfigError, match=says):
        check(Config(steps=[step]))


@pytest.mark.parametrize(("missing", "says"), [("network", "engine 'network'"), ("file", "engine 'file'")])
def test_an_engine_that_is_missing_is_named(models: dict[str, str], missing: str, says: str) -> None:
    del models[missing]

    with pytest.raises(ConfigError, match=says):
        open_steps(Config(steps=[plain(models)]), no_network)


def test_an_option_without_a_default_must_be_given(models: dict[str, str]) -> None:
    step = Step(use="detect.plain", engines=models)

    with pytest.raises(ConfigError, match="strength"):
        check(Config(steps=[step]))


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([], "expected at least one operator"),
        ([Step(use="track"), Step(use="deidentify.cover")], "expected a detect operator"),
        ([ZONES, Step(use="deidentify.magic")], "deidentify.magic"),
    ],
    ids=["none", "none that finds anything", "unknown"],
)
def test_a_config_that_would_hide_nothing_is_refused(steps: list[Step], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check(Config(steps=steps))


@pytest.mark.parametrize(
    ("encode", "says"),
    [
        (EncodeSection(encoder="libx265"), "libx265"),
        (EncodeSection(preset="hasty"), "hasty"),
        (EncodeSection(options={"tunes": "film"}), "tunes"),
        (EncodeSection(options={"x264-params": "keyintt=5"}), "keyintt"),
    ],
    ids=["encoder", "preset", "option", "x264 parameter"],
)
def test_an_encoder_that_would_not_open_is_refused(encode: EncodeSection, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check(Config(steps=[ZONES], encode=encode))


def test_networks_are_opened_and_files_are_handed_over(models: dict[str, str]) -> None:
    def opened(path: Path) -> Engine:
        return lambda **arrays: {"from": path.name, **arrays}

    operators = open_steps(Config(steps=[plain(models)]), opened)

    operator = operators["detect.plain"]
    assert isinstance(operator, Plain)
    assert operator.network() == {"from": "net.onnx"}
    assert (operator.file, operator.strength, operator.times) == (Path(models["file"]), 0.5, 1)


def test_a_detector_that_does_not_find_the_known_face_is_not_handed_over(
    models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plain, "finds_faces", True)

    with pytest.raises(EngineError, match=r"^detect\.plain: expected it to find the face in a drawn picture"):
        open_steps(Config(steps=[plain(models)]), lambda _: lambda **arrays: arrays)


def test_a_network_that_is_not_the_one_of_its_card_is_neither_fine_nor_opened(models: dict[str, str]) -> None:
    """Same name, same size: only what is in it differs."""
    network = Path(models["network"])
    network.write_bytes(b"weights")
    write_card(network, Card(name="net", task="-", licence="-", sha256=sha256_of(b"weights"), source="-"))
    config = Config(steps=[plain(models)])
    check(config)

    network.write_bytes(b"\0" * 7)

    with pytest.raises(EngineError, match=r"net\.onnx: expected SHA-256 .* as its card says, got "):
        check(config)
    with pytest.raises(EngineError, match=r"net\.onnx: expected SHA-256 .* as its card says, got "):
        open_steps(config, no_network)


def test_steps_keep_their_order_and_equal_ones_get_names_of_their_own(models: dict[str, str]) -> None:
    steps = [ZONES, plain(models), ZONES, Step(use="track"), ZONES]

    operators = open_steps(Config(steps=steps), lambda _: lambda **arrays: arrays)

    assert list(operators) == ["detect.zones", "detect.plain", "detect.zones#2", "track", "detect.zones#4"]
    assert len({id(operator) for operator in operators.values()}) == 5


def test_a_config_whose_network_is_missing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # the networks of a system are found from anywhere
    acmf = "operators/deepfake/acmf/small_detector.onnx"
    zones = Step(use="detect.zones", options={"boxes": []})

    check(Config(steps=[zones, Step(use="deepfake.acmf", engines={"detector": acmf})]))
    with pytest.raises(ConfigError, match=r"deepfake\.acmf: operators/none\.onnx: no such file"):
        check(Config(steps=[zones, Step(use="deepfake.acmf", engines={"detector": "operators/none.onnx"})]))


def test_files_of_seals_are_named_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = SealSection(keyring="my.keyring", key_file="my.key", networks="mine/net")

    plain = with_absolute_files(Config(steps=[])).seal
    named = with_absolute_files(Config(steps=[], seal=own)).seal

    assert (plain.keyring, plain.key_file) == ("", "")
    assert Path(f"{plain.networks}_recover.onnx").is_file() and Path(plain.networks).is_absolute()
    assert (named.keyring, named.key_file) == (str(tmp_path / "my.keyring"), str(tmp_path / "my.key"))
    assert named.networks == str(tmp_path / "mine/net")
