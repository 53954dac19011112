"""A config is checked before anything starts: names, values, rules between options, and files that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines import ConfigError, Engine
from operators import ChecksOptions, available, find
from pipeline.config import Config, Step, config_folder, load
from pipeline.live.steps import check, open_steps

PACKAGED = sorted(file.stem for file in (config_folder() / "pipelines").glob("*.yaml"))
ZONES = Step(use="detect.zones", options={"boxes": [[0, 0, 1, 1]]})


def config_of(use: str, options: dict[str, Any], engines: dict[str, str] | None = None) -> Config:
    return Config(steps=[ZONES, Step(use=use, options=options, engines=engines or {})])


def weights(folder: Path, *names: str) -> dict[str, str]:
    """Files that are there; what is in them, `check` does not ask."""
    for name in names:
        (folder / name).touch()
    return {name: str(folder / name) for name in names}


def test_there_are_packaged_configs() -> None:
    assert {"anonymize", "thorough", "screen"} <= set(PACKAGED)


@pytest.mark.parametrize("name", PACKAGED)
def test_every_packaged_config_is_fine(name: str, tmp_path: Path) -> None:
    config = load(name)
    steps = [step.model_copy(update={"engines": weights(tmp_path, *step.engines)}) for step in config.steps]

    check(config.model_copy(update={"steps": steps}))


@pytest.mark.parametrize(
    ("use", "options", "engines", "sentence"),
    [
        ("deidentify.cover", {"style": "blurr"}, [], "style: expected blur, mosaic, solid or image, got 'blurr'"),
        ("track", {"hold_ms": "500"}, [], "hold_ms: expected a number of at least 0, got '500'"),
        ("track", {"hold": 500}, [], "hold: unknown; known: hold_ms, back_ms, high, match_iou, match_distance"),
        ("detect.zones", {}, [], "boxes: expected a list, .*, got nothing"),
        ("detect.yunet", {"px": 16}, ["detector"], "px: expected an integer of at least 32, got 16"),
        ("detect.yunet", {}, [], "engine 'detector' is missing"),
        ("detect.yunet", {}, ["detektor"], "no engine 'detektor'; known: detector"),
        ("track", {}, ["detector"], "no engine 'detector'; known: none"),
        ("deidentify.cover", {"style": "image"}, [], "image: expected a picture file for style image, got none"),
        ("deidentify.cover", {"image": "x.png"}, [], r"image: expected none with style blur, got 'x\.png'"),
        (
            "deidentify.cover", {"style": "image", "image": "x.png"}, [],
            r"image: expected a picture file, cannot read 'x\.png'",
        ),
        (
            "detect.cascade", {"quick_ms": 200}, ["thorough", "quick"],
            "quick_ms: unknown; known: refresh_ms, pace_ms, max_px, threshold, sure, weak, turned",
        ),
        (
            "detect.cascade", {"weak": 0.9}, ["thorough", "quick"],
            r"weak: expected at most sure, which is 0\.8, got 0\.9",
        ),
        (
            "detect.centerface", {"max_px": 640}, ["detector"],
            "min_px: expected at most max_px, which is 640, got 800",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(
    use: str, options: dict[str, Any], engines: list[str], sentence: str, tmp_path: Path
) -> None:
    config = config_of(use, options, weights(tmp_path, *engines))

    with pytest.raises(ConfigError, match=f"^{use}: {sentence}$"):
        check(config)


def test_photos_are_looked_at_without_a_network(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("dlib")
    engines = weights(tmp_path, "descriptor", "landmarks")
    nobody = str(tmp_path / "nobody.png")
    cv2.imwrite(nobody, np.zeros((80, 60, 3), np.uint8))

    with pytest.raises(ConfigError, match=r"^keep: photos: me\.jpg: expected a photo of one face, but it cannot be"):
        check(config_of("keep", {"photos": ["me.jpg"]}, engines))
    with pytest.raises(ConfigError, match=r"^keep: photos: .*nobody\.png: expected exactly one face, found 0"):
        check(config_of("keep", {"photos": [nobody]}, engines))

    assert capfd.readouterr().err == ""  # nor does OpenCV complain beside the sentence


def test_rules_between_options_are_found() -> None:
    with_rules = {name for name in available() if issubclass(find(name), ChecksOptions)}

    assert with_rules == {"deidentify.cover", "detect.cascade", "detect.centerface", "keep"}


def test_no_network_opens_for_a_config_with_a_wrong_option(tmp_path: Path) -> None:
    opened: list[Path] = []

    def open_network(file: Path) -> Engine:
        opened.append(file)
        raise AssertionError(file)

    yunet = Step(use="detect.yunet", engines=weights(tmp_path, "detector"))
    config = Config(steps=[yunet, Step(use="track", options={"hold_ms": "long"})])

    with pytest.raises(ConfigError, match="track: hold_ms"):
        open_steps(config, open_network)
    assert opened == []
