"""A list of reports grows: by each video, and from run to run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from engines import ConfigError
from pipeline.screening.listing import INDEX, LIST, GrowingList, counted, merged
from pipeline.screening.report import FORMAT, ListedFile, ListedVideo, ScreeningList
from tests.pipeline.screening.test_batch import move, sure, video

A, B = "a" * 64, "b" * 64


def row(path: str, sha256: str | None = A, *, complete: bool = True) -> ListedVideo:
    return ListedVideo(
        source=ListedFile(name=Path(path).name, path=path, sha256=sha256, bytes=1),
        outcome="nothing_said", words="", probability=None, confidence="none",
        complete=complete, reason="", seconds=1, tracks=0, html=None, document=None,
    )  # fmt: skip


def listed(rows: Sequence[ListedVideo]) -> ScreeningList:
    return ScreeningList(
        format=FORMAT, facewarden="0", config="c", models={"net": A}, counts=counted(rows), videos=tuple(rows)
    )


def paths(folder: Path) -> list[str]:
    return [each["source"]["path"] for each in json.loads((folder / LIST).read_text())["videos"]]


def test_what_earlier_runs_listed_stays(tmp_path: Path) -> None:
    GrowingList(tmp_path).write([row("one.mp4"), row("two.mp4")], listed)
    GrowingList(tmp_path).write([row("three.mp4"), row("one.mp4", B)], listed)

    assert paths(tmp_path) == ["one.mp4", "two.mp4", "three.mp4", "one.mp4"]
    assert "4 videos" in (tmp_path / INDEX).read_text()
    assert json.loads((tmp_path / LIST).read_text())["counts"]["nothing_said"] == 4


def test_a_row_makes_way_for_a_newer_one_on_the_same_bytes() -> None:
    before = [row("a.mp4", complete=False), row("b.mp4", None), row("c.mp4")]
    new = [row("a.mp4"), row("b.mp4")]

    assert merged(before, new) == (before[2], *new)


def test_it_is_written_as_it_goes(tmp_path: Path) -> None:
    from tests.pipeline.screening.brightness import write_detector

    batch, _ = sure(tmp_path / "out", write_detector(tmp_path / "brightness.onnx", fake=0.5, real=0.4))
    seen = []
    for number in range(3):
        batch.add(video(tmp_path, f"{number}.mp4", b"%d" % number), move)
        seen.append(len(paths(batch.folder)))

    assert seen == [1, 2, 3]


@pytest.mark.parametrize("content", ["{}", "not ours", "[]"])
def test_a_list_of_somebody_else_is_not_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / LIST).write_text(content)

    with pytest.raises(ConfigError, match=r"screen\.json: expected a list of this format, got another; choose another"):
        GrowingList(tmp_path)

    assert (tmp_path / LIST).read_text() == content
