"""Sightings become tracks: single frames count, gaps are filled, beginnings are followed back, cuts end what was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from operators.frame import Frame
from operators.stills import frame_of
from pipeline.judging.panel import crop_around
from pipeline.judging.truth import END_FRAMES, FaceLinker, TruthTrack, boxes_at, follow
from pipeline.judging.views import luma8
from tests.pipeline.judging.scenes import Drawn, background, drawn_face, pasted

PX = 40


def shown(number: int, x: int | None) -> Frame:
    """A frame with a face whose left side is at x, or with none."""
    picture = background() if x is None else pasted(background(), drawn_face(2, PX), x, 30)
    return frame_of(picture, number)


def linked(
    places: Sequence[int | None], found: dict[int, float], *, confirms: bool = True, seed: int = 0
) -> list[TruthTrack]:
    """The tracks of a clip with the face at those places, of which a detector sees some, with these scores."""

    def confirm(_: Drawn) -> bool:
        return confirms

    linker = FaceLinker(confirm, crop_around)
    for number, x in enumerate(places):
        frame = shown(number + seed, x)
        faces = [[x, 30, x + PX, 30 + PX, found[number]]] if x is not None and number in found else []
        linker.add(frame, luma8(frame), np.array(faces).reshape(-1, 5))
    return linker.tracks()


def test_one_frame_is_a_track() -> None:
    (track,) = linked([None, None, 50, None], {2: 0.95})

    assert track.sure and list(track.boxes) == [2]


def test_a_doubtful_face_asks_a_second_detector() -> None:
    assert linked([None, 50], {1: 0.7}, confirms=True)[0].sure
    assert not linked([None, 50], {1: 0.7}, confirms=False)[0].sure
    assert linked([None, 50], {1: 0.93}, confirms=False)[0].sure


def test_a_face_that_is_often_seen_needs_no_second_opinion() -> None:
    scores = dict.fromkeys(range(6), 0.83)

    assert linked([50] * 6, scores, confirms=False)[0].sure
    assert not linked([50] * 6, dict.fromkeys(range(6), 0.7), confirms=False)[0].sure


def test_gaps_are_filled_where_the_face_was() -> None:
    places = [20 + 2 * number for number in range(12)]

    (track,) = linked(places, {0: 0.9, 11: 0.9})

    assert sorted(track.boxes) == list(range(12))
    assert all(abs(track.boxes[number][0] - x) <= 1.5 for number, x in enumerate(places))


def test_a_face_that_was_away_was_away() -> None:
    places = [50, 50, *[None] * 8, 50, 50]

    (track,) = linked(places, {0: 0.9, 1: 0.9, 10: 0.9, 11: 0.9})

    assert set(track.boxes) & set(range(4, 8)) == set()
    assert {0, 1, 10, 11} <= set(track.boxes)


def test_a_face_found_late_is_followed_back() -> None:
    (track,) = linked([60] * 10, {9: 0.95})

    assert sorted(track.boxes) == list(range(9 - END_FRAMES, 10)) or sorted(track.boxes)[0] == 9 - END_FRAMES - 1
    assert np.abs(track.boxes[7] - np.array([60, 30, 100, 70])).max() <= 1


def test_it_is_not_followed_back_to_where_it_was_not() -> None:
    (track,) = linked([None, None, None, 60, 60], {4: 0.95})

    assert sorted(track.boxes) == [3, 4]


def test_one_face_does_not_become_two_as_it_moves() -> None:
    tracks = linked([10, 25, 40, 55, 70], dict.fromkeys(range(5), 0.9))

    assert len(tracks) == 1


def test_two_faces_are_two_tracks() -> None:
    linker = FaceLinker(lambda _: True, crop_around)
    picture = pasted(pasted(background(), drawn_face(1, PX), 20, 30), drawn_face(2, PX), 120, 30)
    for number in range(3):
        frame = frame_of(picture, number)
        faces = np.array([[20, 30, 60, 70, 0.9], [120, 30, 160, 70, 0.95]])
        linker.add(frame, luma8(frame), faces[:: 1 if number % 2 else -1])

    tracks = linker.tracks()

    assert len(tracks) == 2
    assert [sorted(track.boxes) for track in tracks] == [[0, 1, 2]] * 2
    assert len(boxes_at(tracks, 1)) == 2 and boxes_at(tracks, 9) == []


def test_what_is_smooth_cannot_be_followed() -> None:
    flat = np.full((80, 80), 90, np.uint8)

    assert follow(flat, flat, np.array([20.0, 20, 60, 60]), 0.5) is None
    assert follow(flat, flat[:40], np.array([20.0, 20, 60, 60]), 0.5) is None
