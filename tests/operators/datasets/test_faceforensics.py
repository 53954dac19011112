"""FaceForensics++: official pairs, kinds and compressions, in whichever folders they were unpacked to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines import ConfigError
from operators.datasets import faceforensics
from tests.operators.datasets import trees

ORIGINAL, FORGED = "original_sequences/youtube/c23", "manipulated_sequences/Deepfakes/c23"
KINDS = ("Deepfakes",)


def pairs(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, pair in (("train", ("071", "054")), ("val", ("720", "672")), ("test", ("000", "003"))):
        (folder / f"{split}.json").write_text(json.dumps([pair]))


@pytest.mark.parametrize("lists", [".", "splits"])
def test_both_directions_of_a_pair_are_in_its_split(lists: str, tmp_path: Path) -> None:
    pairs(tmp_path / lists)
    trees.names(tmp_path, *(f"{FORGED}/videos/{name}.mp4" for name in ("672_720", "720_672", "003_000")))

    found = faceforensics.read(tmp_path, kinds=KINDS)

    assert [(clip.name, clip.split, clip.group, clip.label) for clip in found.clips] == [
        ("Deepfakes/003_000", "test", "000_003", 1),
        ("Deepfakes/672_720", "val", "672_720", 1),
        ("Deepfakes/720_672", "val", "672_720", 1),
    ]


@pytest.mark.parametrize("within", ["images", "frames"])
def test_pictures_that_were_taken_out_of_the_videos_will_do(within: str, tmp_path: Path) -> None:
    pairs(tmp_path)
    trees.pictures(tmp_path / ORIGINAL / within / "000", 2)
    (tmp_path / FORGED).mkdir(parents=True)

    (clip,) = faceforensics.read(tmp_path, kinds=KINDS).clips

    assert (clip.name, clip.kind, len(clip.footage.files())) == ("real/000", "real", 2)


def test_videos_come_before_pictures_of_them(tmp_path: Path) -> None:
    pairs(tmp_path)
    trees.names(tmp_path, f"{FORGED}/videos/000_003.mp4")
    trees.pictures(tmp_path / FORGED / "images" / "000_003", 2)

    (clip,) = faceforensics.read(tmp_path, kinds=KINDS).clips

    assert clip.footage.files() == (tmp_path / FORGED / "videos" / "000_003.mp4",)


def test_what_is_in_no_list_is_passed_over(tmp_path: Path) -> None:
    pairs(tmp_path)
    trees.names(tmp_path, f"{ORIGINAL}/videos/999.mp4", f"{FORGED}/videos/000_003.mp4", f"{FORGED}/videos/998_999.mp4")

    assert [clip.name for clip in faceforensics.read(tmp_path, kinds=KINDS).clips] == ["Deepfakes/000_003"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"compression": "c99"}, "compression 'c99': expected one of raw, c0, c23, c40"),
        ({"kinds": ("Deepfakes", "Magic")}, "no kind Magic; there are Deepfakes"),
    ],
    ids=["compression", "kind"],
)
def test_options_that_the_set_has_not(options: dict[str, object], complaint: str, tmp_path: Path) -> None:
    pairs(tmp_path)
    trees.names(tmp_path, f"{FORGED}/videos/000_003.mp4")

    with pytest.raises(ConfigError, match=complaint):
        faceforensics.read(tmp_path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", ["train", "val", "test"])
def test_every_official_list_is_needed(missing: str, tmp_path: Path) -> None:
    pairs(tmp_path)
    (tmp_path / f"{missing}.json").unlink()
    trees.names(tmp_path, f"{FORGED}/videos/000_003.mp4")

    with pytest.raises(ConfigError, match=rf"{missing}\.json: the official list of pairs is missing"):
        faceforensics.read(tmp_path, kinds=KINDS)
