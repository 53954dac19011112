import json
from pathlib import Path

import numpy as np
import pytest

from bench.bench_recall import DetectorTally, difference
from operators.detect.recall import match
from pipeline.provenance import write_report

LABELS = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], float)


@pytest.mark.parametrize(
    ("boxes", "scores", "found"),
    [
        pytest.param([], [], [False, False], id="nothing"),
        pytest.param([[0, 0, 10, 10]], [0.9], [True, False], id="one"),
        pytest.param([[0, 0, 10, 10], [0, 1, 10, 11]], [0.9, 0.8], [True, False], id="twice the same"),
        pytest.param([[0, 0, 10, 3]], [0.9], [False, False], id="overlap of 0.3"),
        pytest.param([[0, 0, 10, 4], [20, 0, 30, 9]], [0.3, 0.9], [True, True], id="both, overlap of 0.4"),
    ],
)
def test_match(boxes: list[list[float]], scores: list[float], found: list[bool]) -> None:
    assert match(LABELS, np.reshape(boxes, (-1, 4)), np.array(scores)).tolist() == found


def test_the_interval_of_a_constant_gain() -> None:
    all_found, half_found = (
        DetectorTally([np.array([True, second])] * 5, [0] * 5, [0.0] * 5) for second in (True, False)
    )

    assert difference(all_found, half_found, seed=0) == (0.5, 0.5)


def test_report(tmp_path: Path) -> None:
    path = tmp_path / "results" / "recall.json"

    write_report(path, {"recall_ours": 0.5}, [{"recall": np.float32(0.5)}], seed=3)

    report = json.loads(path.read_text())
    assert list(report) == ["command", "commit", "machine", "seed", "figures", "rows"]
    assert (report["figures"], report["rows"], report["seed"]) == ({"recall_ours": 0.5}, [{"recall": 0.5}], 3)
