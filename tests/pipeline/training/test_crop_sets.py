"""Sets of crops: made once, known by everything that decides them, and given forgeries where they have none."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import ConfigError
from engines.progress import silent
from operators.cropset import folder_for, open_set, save
from operators.datasets import Clip, DataSet, find_set
from operators.datasets.footage import ImageFiles
from pipeline.training.crop_sets import DETECT, MESH, content_of, finders, forged, prepared
from pipeline.training.recipe import Data, Forgeries
from tests.operators.datasets import trees
from tests.operators.deepfake.faces import crop_set
from tests.operators.test_cropset import made_set
from tests.pipeline.training.material import FRONTAL, PAIRS, SIZE, Here, crops_of, forgeries_of


def test_a_set_is_prepared_once(fairface: DataSet, genuine: Path) -> None:
    crops = open_set(genuine)
    written = (genuine / "pixels.npy").stat().st_mtime_ns

    again = prepared(FRONTAL, fairface, cache=genuine.parent, on_progress=silent)
    other = prepared(FRONTAL.model_copy(update={"most": 4}), fairface, cache=genuine.parent, on_progress=silent)

    assert again == genuine and (genuine / "pixels.npy").stat().st_mtime_ns == written
    assert other != genuine and len(open_set(other)) < len(crops)
    assert len(crops) >= 10 and set(crops.splits) == {"test"} and not crops.labels.any()
    inside = (crops.points[:, :468] > -1) & (crops.points[:, :468] < 64)
    assert inside.all()


@pytest.mark.usefixtures("fairface")
def test_crops_are_known_by_everything_that_decides_them(tmp_path: Path) -> None:
    """Two compressions of one set have clips of the same names, and a set can be fetched anew into its folder."""
    trees.faceforensics(tmp_path, PAIRS)
    trees.faceforensics(tmp_path, PAIRS, level="c40")

    def key(compression: str) -> str:
        options: dict[str, Any] = {"compression": compression, "kinds": ["FaceSwap"]}
        found = find_set(str(tmp_path), **options)
        return json.dumps(content_of(Data(set="x", options=options), found, found.clips))

    first, other = key("c23"), key("c40")
    trees.short_video(tmp_path / "original_sequences/youtube/c23/videos/000.mp4", 9)

    assert first != other and key("c23") != first and key("c40") == other


@pytest.mark.usefixtures("fairface")
def test_a_place_without_faces_is_told(tmp_path: Path) -> None:
    trees.pictures(tmp_path / "set/real_test/1/real/0")
    blank = find_set(str(tmp_path / "set"))

    with pytest.raises(ConfigError, match="no face was found in 1 clips"):
        prepared(Data(set="blank"), blank, cache=tmp_path / "crops", on_progress=silent)


def test_forgeries_stand_behind_the_genuine(genuine: Path) -> None:
    n = len(open_set(genuine))

    made = open_set(forged(genuine, Forgeries(kinds=["swap", "iris"], per_real=2), on_progress=silent))

    assert made.labels.tolist() == [0] * n + [1] * (2 * n)
    assert made.origins[:n].tolist() == [-1] * n
    assert (made.clips[made.origins[n:]] == [clip.split("#")[0] for clip in made.clips[n:]]).all()
    assert not made.masks[:n].any() and made.masks[n:].any(axis=(1, 2)).all()


# -- by hand ---------------------------------------------------------------------------------------


def clip(number: int, **about: Any) -> Clip:
    """A genuine still of the training split, of a file that is not there."""
    known: dict[str, Any] = {"label": 0, "split": "train", "group": f"person {number}", **about}
    return Clip(f"clip {number:02}", ImageFiles([Path(f"{number:02}.png")]), **known)


def set_of(*clips: Clip) -> DataSet:
    return DataSet("drawn", Path("drawn"), clips)


TEN = set_of(*(clip(number) for number in range(10)))


@pytest.mark.parametrize(
    ("per_clip", "sizes"),
    [(1, [10]), (100, [4, 4, 2]), (150, [2] * 5), (400, [1] * 10), (1000, [1] * 10), (0, [1] * 10)],
    ids=["stills", "some frames", "rounded down", "as many as a piece", "more than a piece", "all frames"],
)
@pytest.mark.usefixtures("small_models")
def test_a_piece_of_work_has_about_400_frames(tmp_path: Path, per_clip: int, sizes: list[int]) -> None:
    here = Here(crops_of)

    prepared(Data(set="drawn", per_clip=per_clip), TEN, cache=tmp_path, spread=here.spread, on_progress=silent)

    assert [len(piece) for piece in here.pieces] == sizes
    assert [each for piece in here.pieces for each in piece] == list(TEN.clips)


@pytest.mark.usefixtures("small_models")
def test_what_comes_of_the_pieces_is_one_set_in_order(tmp_path: Path) -> None:
    reports: list[tuple[str, int, int, Mapping[str, float]]] = []
    here = Here(partial(crops_of, frames=2))

    folder = prepared(
        Data(set="drawn", per_clip=100),
        TEN,
        cache=tmp_path,
        spread=here.spread,
        on_progress=lambda *report: reports.append(report),
    )

    crops = open_set(folder)
    assert crops.clips.tolist() == [each.name for each in TEN.clips for _ in range(2)]
    assert crops.frames.tolist() == [0, 1] * 10
    assert reports == [("landmarks", number, 3, {"faces": faces}) for number, faces in ((1, 8), (2, 16), (3, 20))]
    assert json.loads((folder / "recipe.json").read_text())["name"] == "drawn" and folder.name.startswith("drawn-")


@pytest.mark.usefixtures("small_models")
def test_no_work_is_done_for_a_set_that_is_there(tmp_path: Path) -> None:
    data, here = Data(set="drawn"), Here(crops_of)
    first = prepared(data, TEN, cache=tmp_path, spread=here.spread, on_progress=silent)

    again = prepared(data, TEN, cache=tmp_path, spread=here.spread, on_progress=silent)

    assert again == first and len(here.pieces) == 1


KINDS = [clip(number, kind="swap" if number > 6 else "real", label=int(number > 6)) for number in range(10)]
SPLITS = [clip(number, split=("train", "val", "test")[number % 3]) for number in range(9)]


@pytest.mark.parametrize(
    ("clips", "data", "chosen"),
    [
        (KINDS, {}, range(10)),
        (KINDS, {"most": 3}, [0, 3, 6, 7, 8, 9]),
        (KINDS, {"most": 2}, [0, 6, 7, 9]),
        (KINDS, {"most": 1}, [0, 7]),
        (KINDS, {"most": 100}, range(10)),
        (SPLITS, {"splits": ["val"]}, [1, 4, 7]),
        (SPLITS, {"splits": ["test", "val"]}, [1, 2, 4, 5, 7, 8]),
        (SPLITS, {"splits": ["train", "test"], "most": 2}, [0, 2, 6, 8]),
    ],
    ids=["all", "three a kind", "two a kind", "one a kind", "too many", "a split", "two splits", "two of two splits"],
)
@pytest.mark.usefixtures("small_models")
def test_the_clips_that_are_taken(tmp_path: Path, clips: list[Clip], data: dict[str, Any], chosen: list[int]) -> None:
    here = Here(crops_of)

    prepared(Data(set="drawn", **data), set_of(*clips), cache=tmp_path, spread=here.spread, on_progress=silent)

    taken = sorted(each.name for piece in here.pieces for each in piece)
    assert taken == [f"clip {number:02}" for number in chosen]


@pytest.mark.usefixtures("small_models")
def test_splits_that_a_set_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="drawn: no clips in val, test; name other splits"):
        prepared(Data(set="drawn", splits=["val", "test"]), TEN, cache=tmp_path / "crops", on_progress=silent)


@pytest.mark.usefixtures("small_models")
def test_a_set_without_faces_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="drawn: no face was found in 10 clips"):
        prepared(
            Data(set="drawn"), TEN, cache=tmp_path / "crops", spread=Here(lambda _: crops_of([])).spread,
            on_progress=silent,
        )  # fmt: skip

    assert not (tmp_path / "crops").exists()


def key_of(data: Data, *clips: Clip, folder: Path = Path("drawn")) -> str:
    return json.dumps(content_of(data, DataSet("drawn", folder, clips), clips))


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"compression": "c40"}}, {"size": 128}, {"margin": 1.2}, {"level": False}, {"per_clip": 2},
        {"whole": True}, {"turned": 0.5},
    ],
    ids=lambda change: "".join(change),
)  # fmt: skip
@pytest.mark.usefixtures("small_models")
def test_crops_that_are_cut_in_another_way_are_others(change: dict[str, Any]) -> None:
    assert key_of(Data(set="drawn", **change), clip(1)) != key_of(Data(set="drawn"), clip(1))


@pytest.mark.parametrize(
    "change",
    [{"name": "x"}, {"label": 1}, {"split": "val"}, {"group": "x"}, {"kind": "swap"}, {"cropped": True},
     {"footage": ImageFiles([Path("other.png")])}],
    ids=lambda change: "".join(change),
)  # fmt: skip
@pytest.mark.usefixtures("small_models")
def test_crops_of_clips_of_which_something_else_is_known_are_others(change: dict[str, Any]) -> None:
    data = Data(set="drawn")

    assert key_of(data, replace(clip(1), **change), clip(2)) != key_of(data, clip(1), clip(2))


def test_crops_are_made_again_when_files_models_or_the_folder_change(small_models: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"1")
    os.utime(picture, ns=(1, 1))
    still = replace(clip(1), footage=ImageFiles([picture]))
    keys = [key_of(Data(set="drawn"), still)]

    def change(what: Callable[[], Any]) -> None:
        what()
        keys.append(key_of(Data(set="drawn"), still))

    def write(content: bytes, at_ns: int) -> None:
        picture.write_bytes(content)
        os.utime(picture, ns=(at_ns, at_ns))

    change(lambda: write(b"1", 2))
    change(lambda: write(b"12", 2))
    change(lambda: (small_models / "face_landmarker.task").write_bytes(b"face_landmarkes"))
    change(lambda: (small_models / "centerface.onnx").write_bytes(b"centerfacf"))
    keys.append(key_of(Data(set="drawn"), still, folder=Path("elsewhere")))

    assert len(set(keys)) == len(keys) == 6
    assert key_of(Data(set="another name"), still) == keys[4]  # how it was asked for does not count


@pytest.mark.parametrize(
    ("cropped", "steps"), [((True, True), [MESH]), ((True, False), [DETECT, MESH]), ((False, False), [DETECT, MESH])]
)
def test_only_crops_need_no_detector(cropped: tuple[bool, bool], steps: list[object]) -> None:
    assert finders([clip(number, cropped=each) for number, each in enumerate(cropped)]) == steps


# -- forgeries -------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Eight genuine crops, after each of which comes a forged one that the set has of its own."""
    made = crop_set(4)
    turn = np.arange(16).reshape(2, 8).T.ravel()
    folder = folder_for(tmp_path, {"name": "kept"})
    save([made.where(turn)], folder, {"name": "kept"})
    return folder


def test_forgeries_name_their_genuine_crop_by_its_row_in_the_new_set(kept: Path) -> None:
    before = open_set(kept)
    reports: list[Any] = []

    made = open_set(
        forged(kept, Forgeries(kinds=["iris", "recolour"], per_real=2), on_progress=lambda *r: reports.append(r))
    )

    assert before.labels.tolist() == [0, 1] * 8
    assert made.labels.tolist() == [0] * 8 + [1] * 16
    assert made.origins.tolist() == [-1] * 8 + [row for row in range(8) for _ in range(2)]
    np.testing.assert_array_equal(made.pixels[:8], before.pixels[::2])
    assert (made.groups[8:] == made.groups[made.origins[8:]]).all()
    assert Counter(made.kinds.tolist()) == {"real": 8, "iris": 8, "recolour": 8}
    assert reports == [("forging", 1, 1, {"forgeries": 16})]


def test_a_piece_of_forging_has_400_crops(tmp_path: Path) -> None:
    many = made_set(1000, SIZE)  # 500 of them genuine, in every other row
    save([replace(many, masks=np.zeros((0, 2, 2), np.uint8))], tmp_path / "many", {})
    here = Here(forgeries_of)

    made = open_set(forged(tmp_path / "many", Forgeries(kinds=["iris"]), spread=here.spread, on_progress=silent))

    assert [len(rows) for rows in here.pieces] == [400, 100]
    assert here.pieces[1][:3].tolist() == [800, 802, 804]
    assert len(made) == 1000 and made.origins[500:].tolist() == list(range(500))


def test_forgeries_are_made_once_for_each_way_of_making_them(kept: Path) -> None:
    def made(**change: Any) -> Path:
        wanted = Forgeries(**{"kinds": ["iris"], "per_real": 1, "seed": 0, **change})
        return forged(kept, wanted, on_progress=silent)

    first = made()
    written = (first / "pixels.npy").stat().st_mtime_ns
    others = [made(kinds=["recolour"]), made(per_real=2), made(seed=1)]

    assert made() == first and (first / "pixels.npy").stat().st_mtime_ns == written
    assert len({first, *others}) == 4 and {folder.parent for folder in others} == {kept.parent}
    assert all(folder.name.startswith(f"{kept.name}-forged-") for folder in others)


@pytest.mark.parametrize("nothing", [{"per_real": 0}, {"kinds": []}], ids=lambda change: "".join(change))
def test_without_forgeries_the_set_stays_as_it_is(kept: Path, nothing: dict[str, Any]) -> None:
    def refuse(*_: object) -> Iterator[Any]:
        raise AssertionError("nothing was to be forged")

    assert forged(kept, Forgeries(**nothing), spread=refuse, on_progress=silent) == kept
