"""Readers of the published sets, on small folders of the same layouts: labels, splits and groups are as official."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from engines import ConfigError
from operators.datasets import DataSet, find_set
from tests.operators.datasets import trees

PAIRS = {"train": [("071", "054"), ("087", "081")], "val": [("720", "672")], "test": [("000", "003")]}


def counted(found: DataSet) -> Counter[tuple[str, int, str]]:
    return Counter((clip.split, clip.label, clip.kind) for clip in found.clips)


def groups(found: DataSet, *names: str) -> set[str]:
    return {clip.group for clip in found.clips if clip.name in names}


def test_faceforensics(tmp_path: Path) -> None:
    trees.faceforensics(tmp_path, PAIRS)

    found = find_set(str(tmp_path), kinds=["Deepfakes", "FaceSwap"])

    assert counted(found) == {
        ("train", 0, "real"): 4, ("train", 1, "Deepfakes"): 4, ("train", 1, "FaceSwap"): 4,
        ("val", 0, "real"): 2, ("val", 1, "Deepfakes"): 2, ("val", 1, "FaceSwap"): 2,
        ("test", 0, "real"): 2, ("test", 1, "Deepfakes"): 2, ("test", 1, "FaceSwap"): 2,
    }  # fmt: skip
    names = ("real/071", "real/054", "Deepfakes/071_054", "FaceSwap/054_071")
    assert groups(found, *names) == {"054_071"}


def test_faceforensics_at_another_compression(tmp_path: Path) -> None:
    trees.faceforensics(tmp_path, PAIRS)
    trees.short_video(tmp_path / "original_sequences/youtube/raw/videos/000.mp4")

    found = find_set(str(tmp_path), kinds=["FaceSwap"], compression="c0")

    assert [clip.name for clip in found.clips] == ["real/000"]


def test_deepfakedetection_is_for_tests_alone(tmp_path: Path) -> None:
    trees.faceforensics(tmp_path, PAIRS)
    trees.short_video(tmp_path / "original_sequences/actors/c23/videos/01__walking.mp4")
    trees.short_video(tmp_path / "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__walking.mp4")

    found = find_set(str(tmp_path), kinds=["DeepFakeDetection"])

    acted = [clip for clip in found.clips if clip.group == "actor 01"]
    assert [(clip.split, clip.label) for clip in acted] == [("test", 0), ("test", 1)]


def celebdf(root: Path) -> None:
    for name in ("Celeb-real/id0_0000", "Celeb-real/id1_0000", "YouTube-real/00000", "Celeb-synthesis/id0_id1_0000"):
        trees.short_video(root / f"{name}.mp4")
    (root / "List_of_testing_videos.txt").write_text("1 Celeb-real/id0_0000.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n")


def test_celebdf(tmp_path: Path) -> None:
    celebdf(tmp_path)

    found = find_set(str(tmp_path))

    tested = {clip.name: clip.label for clip in found.clips if clip.split == "test"}
    assert tested == {"Celeb-real/id0_0000": 0, "Celeb-synthesis/id0_id1_0000": 1}
    assert groups(found, *tested) == {"id0 (test)"}
    assert {clip.label for clip in found.clips if clip.split != "test"} == {0}


def test_celebdf_whose_list_contradicts_its_folders(tmp_path: Path) -> None:
    celebdf(tmp_path)
    (tmp_path / "List_of_testing_videos.txt").write_text("0 Celeb-real/id0_0000.mp4\n")

    with pytest.raises(ConfigError, match="expected 1 before a genuine video"):
        find_set(str(tmp_path))


def dfdc(root: Path) -> None:
    part, test = root / "dfdc_train_part_0", root / "test"
    for path in (part / "a.mp4", part / "b.mp4", test / "c.mp4", test / "d.mp4"):
        trees.short_video(path)
    told = {
        "a.mp4": {"label": "FAKE", "split": "train", "original": "b.mp4"},
        "b.mp4": {"label": "REAL", "split": "train"},
        "not_here.mp4": {"label": "REAL", "split": "train"},
    }
    (part / "metadata.json").write_text(json.dumps(told))
    (test / "labels.csv").write_text("filename,label\nc.mp4,1\nd.mp4,0\n")


def test_dfdc(tmp_path: Path) -> None:
    dfdc(tmp_path)

    found = find_set(str(tmp_path))

    assert {clip.name: clip.label for clip in found.clips} == {
        "dfdc_train_part_0/a.mp4": 1, "dfdc_train_part_0/b.mp4": 0, "test/c.mp4": 1, "test/d.mp4": 0,
    }  # fmt: skip
    assert len(groups(found, "dfdc_train_part_0/a.mp4", "dfdc_train_part_0/b.mp4")) == 1
    assert [clip.split for clip in found.clips if clip.name.startswith("test")] == ["test", "test"]


def test_dfdc_preview_groups_by_whose_video_it_is(tmp_path: Path) -> None:
    for name in ("method_A/1_2/a.mp4", "method_B/1_3/b.mp4", "original_videos/1/c.mp4"):
        trees.short_video(tmp_path / name)
    told = {
        "method_A/1_2/a.mp4": {"label": "fake", "set": "train", "target_id": "1", "swapped_id": "2"},
        "method_B/1_3/b.mp4": {"label": "fake", "set": "train", "target_id": "1", "swapped_id": "3"},
        "original_videos/1/c.mp4": {"label": "real", "set": "train", "target_id": "1"},
    }
    (tmp_path / "dataset.json").write_text(json.dumps(told))

    found = find_set(str(tmp_path))

    assert Counter(clip.label for clip in found.clips) == {1: 2, 0: 1}
    assert len({clip.group for clip in found.clips}) == 1


def test_dfdc_listed_twice_is_there_once(tmp_path: Path) -> None:
    dfdc(tmp_path)
    again = {"c.mp4": {"label": "FAKE", "original": "d.mp4"}, "d.mp4": {"label": "REAL"}}
    (tmp_path / "test" / "metadata.json").write_text(json.dumps(again))

    found = find_set(str(tmp_path))

    assert len({clip.name for clip in found.clips}) == len(found.clips) == 4
    assert len(groups(found, "test/c.mp4", "test/d.mp4")) == 1


@pytest.mark.parametrize("written", ['{"a.mp4": {"split": "train"}}', "[1]", '{"a.mp4": "FAKE"}', "{"])
def test_dfdc_with_a_damaged_list(written: str, tmp_path: Path) -> None:
    dfdc(tmp_path)
    (tmp_path / "dfdc_train_part_0/metadata.json").write_text(written)

    with pytest.raises(ConfigError, match=r"metadata\.json: expected videos with their labels"):
        find_set(str(tmp_path))


def wilddeepfake(root: Path) -> None:
    trees.pictures(root / "real_train/1/real/0", 12)
    trees.pictures(root / "fake_train/7/fake/3")
    trees.pictures(root / "fake_test/2/fake/0")
    trees.pictures(root / "fake_test/2/fake/1")


def test_wilddeepfake(tmp_path: Path) -> None:
    wilddeepfake(tmp_path)

    found = find_set(str(tmp_path))

    assert {clip.name: (clip.label, clip.split == "test", clip.cropped) for clip in found.clips} == {
        "real_train/1/real/0": (0, False, True), "fake_train/7/fake/3": (1, False, True),
        "fake_test/2/fake/0": (1, True, True), "fake_test/2/fake/1": (1, True, True),
    }  # fmt: skip
    assert groups(found, "fake_test/2/fake/0", "fake_test/2/fake/1") == {"fake_test/2"}
    (long,) = (clip for clip in found.clips if clip.name == "real_train/1/real/0")
    assert [trees.number_of(image) for _, image in long.footage.frames()] == list(range(12))  # 10.png after 9.png


def deepfakebench(root: Path) -> None:
    def videos(kind: str, names: list[str]) -> dict[str, object]:
        listed = {}
        for name in names:
            trees.pictures(root / "datasets/rgb/FaceForensics++" / kind / name)
            frames = [f"FaceForensics++\\{kind}\\{name}\\{number}.png" for number in range(3)]
            listed[name] = {"label": kind, "frames": frames}
        return {"c23": listed, "c40": {}}

    real, fake = ("FF-real", "FF-DF")
    told = {
        real: {"train": videos(real, ["071"]), "val": videos(real, ["720"]), "test": videos(real, ["000"])},
        fake: {"train": videos(fake, ["071_054"]), "val": videos(fake, []), "test": videos(fake, ["000_003"])},
    }
    lists = root / "preprocessing/dataset_json"
    lists.mkdir(parents=True)
    (lists / "FF-DF.json").write_text(json.dumps({"FF-DF": told}))


def test_deepfakebench(tmp_path: Path) -> None:
    deepfakebench(tmp_path)

    found = find_set(str(tmp_path))

    assert found.name == "FF-DF"
    assert counted(found)["test", 0, "real"] == counted(found)["test", 1, "FF-DF"] == 1
    assert counted(found)["val", 0, "real"] == 1
    (clip,) = (clip for clip in found.clips if clip.name == "FF-DF/071_054")
    assert (clip.group, clip.cropped) == ("054_071", True)
    assert groups(found, "FF-real/071", "FF-DF/071_054") == {"054_071"}
    assert [trees.number_of(image) for _, image in clip.footage.frames()] == [0, 1, 2]


def test_deepfakebench_keeps_a_celebrity_together(tmp_path: Path) -> None:
    def videos(kind: str, *names: str) -> dict[str, object]:
        for name in names:
            trees.pictures(tmp_path / "rgb" / kind / name)
        return {name: {"label": kind, "frames": [f"{kind}/{name}/0.png"]} for name in names}

    real = {
        "train": videos("Celeb-real", *(f"id{n}_0000" for n in range(30))),
        "test": videos("Celeb-real", "id0_0009"),
    }
    fake = {"train": videos("Celeb-fake", *(f"id{n}_id1_0000" for n in range(30))), "val": {}, "test": {}}
    (tmp_path / "dataset_json").mkdir()
    (tmp_path / "dataset_json/Celeb.json").write_text(json.dumps({"Celeb": {"Celeb-real": real, "Celeb-fake": fake}}))

    found = find_set(str(tmp_path))

    splits = {name: {clip.split for clip in found.clips if clip.group == f"{name} (train)"} for name in ("id0", "id7")}
    assert all(len(split) == 1 for split in splits.values()) and counted(found)["val", 0, "real"] >= 1
    assert groups(found, "Celeb-real/id3_0000", "Celeb-fake/id3_id1_0000") == {"id3 (train)"}
    assert groups(found, "Celeb-real/id0_0009") == {"id0 (test)"}


def test_deepfakebench_asks_which_list(tmp_path: Path) -> None:
    deepfakebench(tmp_path)
    (tmp_path / "preprocessing/dataset_json/DFDC.json").write_text("{}")

    with pytest.raises(ConfigError, match="one of DFDC, FF-DF"):
        find_set(str(tmp_path))


def side_by_side(root: Path) -> None:
    files = list(product(("real", "fake"), ("Ann_Lee_0", "Ann_Lee_1"), (9, 5)))
    trees.archive(root / "frames.tar", {f"{x}/{clip}_{frame:04}.jpg": trees.shade(frame) for x, clip, frame in files})
    with (root / "frames.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "label", "clip", "frame"))
        rows.writerows((f"{label}/{clip}_{frame:04}.jpg", label, clip, frame) for label, clip, frame in files)


def test_side_by_side_groups_by_the_face_that_is_swapped_in(tmp_path: Path) -> None:
    side_by_side(tmp_path)

    found = find_set(str(tmp_path))

    assert counted(found) == {("test", 0, "real"): 2, ("test", 1, "DeepFaceLive"): 2}
    assert {clip.group for clip in found.clips} == {"Ann_Lee"}
    assert [trees.number_of(image) for _, image in found.clips[0].footage.frames()] == [5, 9]


def fairface(root: Path) -> None:
    names = [f"train/{number}.webp" for number in range(60)] + [f"val/{number}.webp" for number in range(3)]
    trees.archive(root / "train-00.tar", {name: trees.shade(1) for name in names if name.startswith("train")})
    trees.archive(root / "val-00.tar", {name: trees.shade(2) for name in names if name.startswith("val")})
    with (root / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "archive", "age", "gender", "race"))
        rows.writerows((name, f"{name.split('/')[0]}-00.tar", "20-29", "Female", "Black") for name in names)


def test_fairface_is_genuine_and_gives_up_a_tenth(tmp_path: Path) -> None:
    fairface(tmp_path)

    found = find_set(str(tmp_path))

    by_split = Counter(clip.split for clip in found.clips)
    assert by_split["test"] == 3 and by_split["train"] + by_split["val"] == 60 and 1 <= by_split["val"] <= 15
    assert not any(clip.label for clip in found.clips)
    (_, image), *_ = found.clips[-1].footage.frames()
    assert trees.number_of(image) == 2


@pytest.mark.parametrize("make", [celebdf, dfdc, wilddeepfake, deepfakebench, side_by_side, fairface])
def test_no_group_is_torn_apart(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path)

    found = find_set(str(tmp_path))

    assert len({(clip.group, clip.split) for clip in found.clips}) == len({clip.group for clip in found.clips})
    assert len({clip.name for clip in found.clips}) == len(found.clips)


def test_a_group_in_two_splits_is_refused(tmp_path: Path) -> None:
    trees.faceforensics(tmp_path, {"train": [("071", "054")], "val": [("720", "672")], "test": [("000", "003")]})
    found = find_set(str(tmp_path), kinds=["Deepfakes"])
    torn = [*found.clips, type(found.clips[0])("again", found.clips[0].footage, 0, "test", "054_071")]

    with pytest.raises(ConfigError, match="054_071 is in train and test"):
        DataSet("made", tmp_path, torn)


def test_what_is_not_known_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no data set 'nowhere'"):
        find_set("nowhere", tmp_path)
    with pytest.raises(ConfigError, match="no reader knows this layout"):
        find_set(str(tmp_path))
    celebdf(tmp_path)
    with pytest.raises(ConfigError, match="colour"):
        find_set(str(tmp_path), colour="red")


def test_named_sets_are_found(data_dir: Path) -> None:
    assert len(find_set("fairface", data_dir).clips) == 21_000
    assert len({clip.group for clip in find_set("side_by_side", data_dir).clips}) == 13
    assert len(find_set("deepfake/stylegan2_vs_photo", data_dir).clips) == 645


def test_a_set_is_named_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clips are read by workers, which are in another folder."""
    trees.faceforensics(tmp_path / "set", PAIRS)
    monkeypatch.chdir(tmp_path)

    assert find_set("set", kinds=["Deepfakes"]).folder == tmp_path / "set"
