"""Photos among what `facewarden run` is given: one by one, and each with a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from engines import ConfigError
from pipeline.commands.photos import mask_photos, planned_photos
from pipeline.config import Config, JailSection, SealSection, Step
from pipeline.live.sources import find_files

CONFIG = Config(
    steps=[
        Step(use="detect.zones", options={"boxes": [[0, 0, 0.5, 1]]}),
        Step(use="deidentify.cover", options={"zone_style": "solid"}),
    ]
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "in"
    inside.mkdir()
    Image.new("RGB", (64, 48), "white").save(inside / "a.png")
    Image.new("RGB", (64, 48), "white").save(inside / "[red]b.jpg")
    (inside / "broken.jpg").write_bytes(b"no photo")
    return inside


def test_each_photo_is_masked_or_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned = planned_photos(find_files([str(folder)]), str(tmp_path / "out"), CONFIG)

    complete = mask_photos(planned, CONFIG)
    again = mask_photos([photo for photo in planned if photo.source.name == "a.png"], CONFIG)

    printed = "".join(capsys.readouterr().out.split())
    assert not complete and not again
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["[red]b_anonymized.jpg", "a_anonymized.png"]
    assert "[red]b.jpg" in printed and "notwritten:" in printed and "isthere" in printed
    with Image.open(tmp_path / "out" / "a_anonymized.png") as photo:
        assert photo.getpixel((10, 10)) == (0, 0, 0)
        assert photo.getpixel((50, 10)) == (255, 255, 255)


def test_a_photo_may_be_larger_than_a_video(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned = planned_photos(find_files([str(folder / "a.png")]), str(tmp_path / "out"), CONFIG)
    small = JailSection(max_pixels=64 * 48 - 1)

    assert not mask_photos(planned, CONFIG.model_copy(update={"jail": JailSection(max_photo_pixels=64 * 48 - 1)}))
    assert "atmost3071aretaken" in "".join(capsys.readouterr().out.split())
    assert mask_photos(planned, CONFIG.model_copy(update={"jail": small}))


def test_a_result_is_replaced_where_that_is_asked_for(folder: Path, tmp_path: Path) -> None:
    planned = planned_photos(find_files([str(folder / "a.png")]), str(tmp_path), CONFIG)
    planned[0].target.write_bytes(b"of a run before")

    assert not mask_photos(planned, CONFIG)
    assert mask_photos(planned, CONFIG, overwrite=True)
    with Image.open(planned[0].target) as photo:
        assert photo.getpixel((10, 10)) == (0, 0, 0)


def test_no_file_is_named_twice(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask_photos(planned_photos(find_files([str(folder / "broken.jpg")]), str(tmp_path), CONFIG), CONFIG)

    assert "".join(capsys.readouterr().out.split()).count("broken.jpg") == 1


def test_photos_and_videos_do_not_share_one_file(folder: Path) -> None:
    (folder / "c.mp4").touch()

    with pytest.raises(ConfigError, match="one output for 4 sources; give a folder"):
        planned_photos(find_files([str(folder)]), "out.mp4", CONFIG)


def test_photos_are_refused_where_all_that_is_hidden_has_to_come_back(folder: Path) -> None:
    sealing = CONFIG.model_copy(update={"seal": SealSection(keyring="my.keyring", key_file="my.key")})

    with pytest.raises(ConfigError, match="photos are not sealed; leave them out"):
        planned_photos(find_files([str(folder)]), None, sealing)


def test_without_photos_nothing_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "c.mp4").touch()

    assert planned_photos(find_files([str(tmp_path)]), None, Config(steps=[])) == []
