"""A config says what it means and nothing else; what it leaves out has a value that is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from engines import ConfigError
from pipeline import config as module
from pipeline.config import Config, JailSection, config_folder, load

STEPS = [{"use": "detect.zones"}]


def written(folder: Path, **settings: Any) -> Path:
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"steps": STEPS, **settings}))
    return path


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    config = load(written(tmp_path))

    assert config == Config.model_validate({"steps": STEPS})
    assert (config.delivery, config.on_failure, config.audio, config.backlog) == ("auto", "auto", "copy", 1024)
    assert (config.encode.encoder, config.encode.preset, config.encode.crf) == ("libx264", "veryfast", 23)
    assert (config.jail.memory_mb, config.jail.timeout_s, config.engines.device) == (4096, 20, "auto")


def test_what_is_said_is_read(tmp_path: Path) -> None:
    step = {"use": "detect.cascade", "engines": {"quick": "yunet"}, "options": {"every": 3}}

    config = load(written(tmp_path, steps=[step], encode={"crf": 30}, jail={"timeout_s": 2.5}, on_failure="withhold"))

    assert [(s.use, s.engines, s.options) for s in config.steps] == [(step["use"], step["engines"], step["options"])]
    assert (config.encode.crf, config.encode.preset) == (30, "veryfast")
    assert (config.jail.timeout_s, config.jail.memory_mb, config.on_failure) == (2.5, 4096, "withhold")


def test_overrides_go_before_the_file_section_by_section(tmp_path: Path) -> None:
    path = written(tmp_path, backlog=100, encode={"crf": 30})

    config = load(path, {"encode": {"preset": "slow"}, "workers": 2})

    assert (config.backlog, config.workers) == (100, 2)
    assert (config.encode.preset, config.encode.crf) == ("slow", 23)  # a section is replaced whole


@pytest.mark.parametrize("name", sorted(path.stem for path in (config_folder() / "pipelines").glob("*.yaml")))
def test_a_packaged_config_is_found_by_its_name(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    assert load(name) == load(config_folder() / "pipelines" / f"{name}.yaml")
    assert load(name).steps[0].use.startswith("detect.")


def test_without_a_name_faces_are_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    assert load() == load("anonymize")
    assert load().steps[-1].use == "deidentify.cover"


def test_a_file_that_is_here_goes_before_a_packaged_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written(tmp_path, backlog=77).rename(tmp_path / "anonymize")
    monkeypatch.chdir(tmp_path)

    assert load("anonymize").backlog == 77


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"steps: [", r"run\.yaml: not YAML"),
        (
            b"\xff\xfe\x00",
            r"run\.yaml: cannot be read .*; give a YAML file or one of: anonymize, .*, thorough",
        ),
        (b"", r"run\.yaml: expected a mapping with 'steps', got NoneType"),
        (b"- detect.zones", r"run\.yaml: expected a mapping with 'steps', got list"),
        (b"backlog: 100", r"run\.yaml: steps: expected a list"),
    ],
    ids=["no YAML", "no text", "empty", "a list", "no steps"],
)
def test_what_is_no_config_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "run.yaml").write_bytes(content)

    with pytest.raises(ConfigError, match=complaint):
        load(tmp_path / "run.yaml")


def test_a_config_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.yaml", tmp_path, "nobody"):
        with pytest.raises(ConfigError, match=r"cannot be read .*; give a YAML file or one of: anonymize, reversible"):
            load(missing)


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"stepz": []}, "stepz"),
        ({"steps": [{"use": "track", "option": {}}]}, r"steps\.0\.option"),
        ({"steps": [{"options": {}}]}, r"steps\.0\.use"),
        ({"encode": {"quality": 3}}, r"encode\.quality"),
        ({"delivery": "fast"}, "delivery"),
        ({"on_failure": "show"}, "on_failure"),
        ({"audio": "encode"}, "audio"),
        ({"engines": {"device": "tpu"}}, r"engines\.device"),
        *(
            ({section: {name: value}} if section else {name: value}, name)
            for section, name, value in (
                ("encode", "crf", -1),
                ("encode", "crf", 52),
                ("jail", "memory_mb", 255),
                ("jail", "timeout_s", 0),
                ("jail", "max_pixels", 0),
                ("engines", "max_batch", 0),
                ("engines", "max_wait_ms", -1),
                ("", "lookahead_ms", -1),
                ("", "lookahead_mb", 7),
                ("", "backlog", 63),
                ("", "workers", -1),
                ("", "ingest_limit", 0),
            )
        ),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path: Path, settings: dict[str, Any], where: str) -> None:
    with pytest.raises(ConfigError, match=rf"run\.yaml: .*{where}"):
        load(written(tmp_path, **settings))


def test_the_least_and_the_most_are_taken(tmp_path: Path) -> None:
    least = {"lookahead_ms": 0, "lookahead_mb": 8, "backlog": 64, "workers": 0, "ingest_limit": 1}
    sections = {"encode": {"crf": 51}, "jail": {"memory_mb": 256}, "engines": {"max_batch": 1, "max_wait_ms": 0}}

    config = load(written(tmp_path, **least, **sections))

    assert config.encode.crf == 51
    assert config.model_dump(include=set(least)) == least


@pytest.mark.parametrize(
    ("lookahead_ms", "live", "wait_ms"), [(None, False, 750), (None, True, 250), (0, False, 0), (40, True, 40)]
)
def test_frames_wait_longer_in_files(lookahead_ms: float | None, live: bool, wait_ms: float) -> None:
    config = Config.model_validate({"steps": STEPS, "lookahead_ms": lookahead_ms})

    assert config.wait_ms(live=live) == wait_ms


def test_a_config_does_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().backlog = 3  # type: ignore[misc]


def test_configs_lie_in_the_checkout_or_in_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert config_folder() == Path(module.__file__).parents[1] / "configs"

    monkeypatch.setattr(module, "INSTALLED", tmp_path)
    with pytest.raises(ConfigError, match=r"no models\.yaml in .*pipeline/configs or .*/configs; install"):
        config_folder()
    for folder in ("configs", "pipeline/configs"):  # the first may be somebody else's
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "models.yaml").touch()

    assert config_folder() == tmp_path / "pipeline/configs"


def test_the_jail_is_limited_as_the_config_says() -> None:
    limits = JailSection(memory_mb=300, timeout_s=3, max_pixels=1000).limits

    assert (limits.memory_bytes, limits.timeout_s, limits.max_pixels) == (300 << 20, 3, 1000)
