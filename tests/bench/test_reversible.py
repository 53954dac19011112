"""What the bench of reversible covers counts, on networks that anybody can follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench import bench_reversible as bench
from operators.reversible.proface_s.obfuscators import OBFUSCATORS

SIDE = 64


def pictures(n: int = 5) -> Any:
    rng = np.random.default_rng(0)
    return rng.integers(30, 220, (n, 8, 8, 3)).astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)


def hide(**inputs: Any) -> dict[str, Any]:
    """The face under the signs of the map, a quarter as strong: what no cover would look like."""
    return {"protected": inputs["face"] * inputs["key_map"] / 4}


def give_back(**inputs: Any) -> dict[str, Any]:
    return {"recovered": np.clip(inputs["protected"] * inputs["key_map"] * 4, -1, 1)}


@pytest.fixture(scope="module")
def made() -> bench.HiddenFaces:
    return bench.trial(hide, pictures(), 0)


def test_a_trial_has_all_styles_and_a_key_for_each_face(made: bench.HiddenFaces) -> None:
    assert made.side == SIDE and len(made.faces) == len(OBFUSCATORS)
    assert len({each.tobytes() for each in made.maps}) == 5
    assert all((cover != face).any() for cover, face in zip(made.covers, made.faces, strict=True))


def test_right_keys_give_back_and_wrong_ones_do_not(made: bench.HiddenFaces) -> None:
    found = bench.keys(give_back, made, 0)

    assert found["psnr_float"].min() > 90
    assert 35 < found["psnr"].min() < found["psnr"].max() < 60
    assert found["wrong_psnr_worst"].max() < 12
    assert (found["wrong_psnr"] <= found["wrong_psnr_worst"]).all()
    assert (found["neighbour_psnr_worst"] <= found["wrong_psnr_worst"]).all()
    assert bench.db(0 * bench.signed(made.faces), bench.signed(made.faces)) == pytest.approx(found["zero_map_psnr"])


@pytest.mark.parametrize("codec", bench.CODECS)
def test_codecs_keep_every_bit_or_do_not(codec: str) -> None:
    rng = np.random.default_rng(0)
    crops = np.ascontiguousarray(pictures(2).transpose(0, 3, 1, 2) + rng.integers(0, 9, (2, 3, SIDE, SIDE), np.uint8))

    found = bench.through(codec, crops)

    assert found.shape == crops.shape and found.dtype == np.uint8
    assert np.array_equal(found, crops) is (codec in bench.LOSSLESS)
    assert bench.db(found, crops).min() > 18, "channels and rows are where they were"


def test_figures_have_intervals_over_faces_and_the_worst_of_all() -> None:
    found = bench.figures_of({"psnr": np.array([30.0, 40.0]), "wrong_psnr_worst": np.array([5.0, 9.0])})

    assert (found["psnr"], found["psnr_low"], found["psnr_high"]) == (35, 30, 40)
    assert found["wrong_psnr_worst_of_all"] == 9 and "psnr_of_all" not in found
