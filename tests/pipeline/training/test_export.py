"""From the folder of a run to networks with their cards."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs facewarden[train]")

import torch

from engines import ConfigError
from engines.training import TrainingRun
from pipeline.training import ray_jobs as jobs
from pipeline.training.export import export_run
from tests.pipeline.training.material import RECIPE


def test_a_run_of_other_networks_is_not_exported(tmp_path: Path) -> None:
    (tmp_path / jobs.RECIPE).write_text(RECIPE.model_dump_json())
    TrainingRun(tmp_path, device="cpu").finish({"head": torch.zeros(1)})

    with pytest.raises(ConfigError, match="not those of its recipe"):
        export_run(tmp_path)
