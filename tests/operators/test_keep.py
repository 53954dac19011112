import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines import ConfigError, EngineError
from operators.frame import Faces, Frame
from operators.keep import Descriptor, Keep
from operators.shown import Shown
from operators.stills import frame_of
from tests.clips import portrait
from tests.model_files import model_file

pytest.importorskip("dlib")

FACE = (150, 75, 290, 245)


@pytest.fixture(scope="module")
def models() -> tuple[Path, Path]:
    return model_file("face_descriptor"), model_file("face_points")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("photos") / "hopper.png"
    cv2.imwrite(str(path), cv2.resize(portrait(), (256, 300)))
    return str(path)


@pytest.fixture(scope="module")
def opened(models: tuple[Path, Path], photo: str) -> Keep:
    return Keep(*models, photos=[photo], confirm=2, retry=2)


@pytest.fixture
def keep(opened: Keep) -> Keep:
    opened.forget("still")
    return opened


@pytest.fixture(scope="module")
def person() -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(portrait(), (400, 480)), np.uint8)


def stranger(person: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same picture with something in the face's place that is not that face."""
    other = person.copy()
    other[60:260, 130:310] = cv2.GaussianBlur(person[60:260, 130:310][::-1], (0, 0), 3)
    return other


def met(image: NDArray[np.uint8], index: int, *, track: int = 5, seen: bool = True, box: object = FACE) -> Frame:
    age = np.array([np.nan if seen else 0.04], np.float32)  # what is not seen is predicted
    return replace(frame_of(image, index), faces=Faces.of([box], tracks=[track], seen=[seen], data={"age": age}))


def followed(image: NDArray[np.uint8], index: int, *, seen: bool = True, sudden: bool = False) -> Frame:
    """As a detector says it that follows faces itself."""
    data = {"age": np.array([np.nan]), "sudden": np.array([sudden], np.float32)}
    return replace(frame_of(image, index), faces=Faces.of([FACE], tracks=[5], seen=[seen], data=data))


def kept(frames: list[Frame]) -> list[bool]:
    return [bool(frame.faces.kept[0]) for frame in frames]


def test_kept_once_confirmed_and_covered_at_the_first_miss(keep: Keep, person: NDArray[np.uint8]) -> None:
    other = stranger(person)
    images = [person, person, person, other, person, person, person]

    done = keep([met(image, index) for index, image in enumerate(images)])

    # after the miss in frame 3 it is compared again in frame 5
    assert kept(done) == [False, True, True, False, False, False, True]
    assert [frame.index for frame in done] == [0, 1, 2, 3, 4, 5, 6]


def test_a_face_that_a_detector_follows_is_compared_every_few_frames(keep: Keep, person: NDArray[np.uint8]) -> None:
    other = stranger(person)
    images = [*[person] * 3, *[other] * 7]

    done = keep([followed(image, index) for index, image in enumerate(images)])
    settled = [keep.settle(frame, done[index + 1 :]) for index, frame in enumerate(done)]

    # Confirmed in frame 1, it is compared again in frame 6; until then the next comparison must agree.
    assert kept(done) == [False, *[True] * 5, *[False] * 4]
    assert kept(settled) == [False, True, *[False] * 8]


def test_who_comes_at_once_is_compared_at_once(keep: Keep, person: NDArray[np.uint8]) -> None:
    other = stranger(person)

    done = keep([followed(person, 0), followed(person, 1), followed(other, 2, sudden=True)])

    assert kept(done) == [False, True, False]


def test_a_face_that_a_detector_knows_to_be_unchanged_stays_as_it_is(keep: Keep, person: NDArray[np.uint8]) -> None:
    known = [followed(person, index, seen=False) for index in range(40)]

    done = keep(known)
    settled = [keep.settle(frame, ()) for frame in done]

    assert kept(settled) == [False, *[True] * 39]


def test_a_predicted_face_is_kept_only_where_its_track_was(keep: Keep, person: NDArray[np.uint8]) -> None:
    near, far = (155, 80, 295, 250), (0, 300, 140, 470)

    done = keep(
        [
            met(person, 0),
            met(person, 1),
            met(person, 2, seen=False, box=near),
            met(person, 3, seen=False, box=far),
            met(person, 4, seen=False, box=near),
        ]
    )

    assert kept(done) == [False, True, True, False, False]


def shown(index: int, *rows: tuple[int, bool, float], cut: bool = False) -> Frame:
    """A frame as it waits; of each face its track, whether it is kept, and its age, NaN if it was found."""
    tracks, kept, age = zip(*rows, strict=True) if rows else ((), (), ())
    faces = Faces.of([FACE] * len(rows), tracks=tracks, kept=kept, data={"age": np.array(age, np.float32)})
    return replace(frame_of(np.zeros((480, 400, 3), np.uint8), index), faces=faces, cut=cut)


FOUND = np.nan


@pytest.mark.parametrize(
    ("ahead", "stays"),
    [
        pytest.param([shown(1, (5, True, FOUND))], True, id="kept when it is found"),
        pytest.param([shown(1, (5, False, FOUND))], False, id="not kept when it is found"),
        pytest.param([], False, id="nothing comes after it"),
        pytest.param([shown(1), shown(2, (6, True, FOUND))], False, id="it does not come back"),
        pytest.param([shown(1, (5, True, 0.08)), shown(2, (5, True, FOUND))], True, id="kept after a while"),
        pytest.param([shown(1, (5, True, 0.08)), shown(2, (5, False, FOUND))], False, id="not kept after a while"),
        pytest.param([shown(1, (5, True, 0.08)), shown(2)], False, id="predicted to the last"),
        pytest.param([shown(1, (5, True, FOUND)), shown(2, (5, False, FOUND))], True, id="the next one counts"),
        pytest.param([shown(1, (5, False, FOUND)), shown(2, (5, True, FOUND))], False, id="and no later one"),
        pytest.param([shown(1, (5, True, FOUND), cut=True)], False, id="in another scene"),
        pytest.param([shown(1, (6, False, FOUND), (5, True, FOUND))], True, id="next to somebody else"),
    ],
)
def test_a_predicted_face_stays_kept_only_if_its_track_is_kept_when_it_is_found_next(
    keep: Keep, ahead: list[Frame], stays: bool
) -> None:
    predicted = shown(0, (5, True, 0.04))

    settled = keep.settle(predicted, ahead)

    assert kept([settled]) == [stays]
    assert kept([predicted]) == [True]
    assert settled.faces.tracks.tolist() == [5]


def test_what_follows_keeps_no_face_that_was_found_or_was_not_kept(keep: Keep) -> None:
    frame = shown(0, (5, True, FOUND), (6, False, 0.04), (7, True, 0.04))
    ahead = [shown(1, (5, False, FOUND), (6, True, FOUND), (7, False, FOUND))]

    assert keep.settle(frame, ahead).faces.kept.tolist() == [True, False, False]


def test_where_no_face_was_predicted_a_frame_stays_as_it_is(keep: Keep) -> None:
    found, none = shown(0, (5, True, FOUND)), frame_of(np.zeros((480, 400, 3), np.uint8))

    assert keep.settle(found, [shown(1, (5, False, FOUND))]) is found
    assert keep.settle(none, [found]) is none


@pytest.mark.parametrize(
    ("track", "size"),
    [pytest.param(-1, (400, 480), id="no track"), pytest.param(5, (100, 120), id="too small")],
)
def test_never_kept(keep: Keep, person: NDArray[np.uint8], track: int, size: tuple[int, int]) -> None:
    small = np.asarray(cv2.resize(person, size), np.uint8)
    box = np.array(FACE) * size[0] / 400

    done = keep([met(small, index, track=track, box=box) for index in range(4)])

    assert kept(done) == [False] * 4


def test_no_faces(keep: Keep, person: NDArray[np.uint8]) -> None:
    assert len(keep([frame_of(person)])[0].faces) == 0


def test_state_is_handed_over(keep: Keep, person: NDArray[np.uint8]) -> None:
    keep([met(person, 0)])
    state = keep.snapshot("still")

    keep.forget("still")
    anew = keep([met(person, 1)])
    keep.restore("still", state)
    resumed = keep([met(person, 1)])

    assert kept(anew + resumed) == [False, True]


def test_state_is_plain_and_comes_back_as_it_was(keep: Keep, person: NDArray[np.uint8]) -> None:
    keep([met(person, 0), met(person, 1, track=7, seen=False)])
    state = keep.snapshot("still")

    keep.forget("still")
    keep.restore("still", state)

    assert keep.snapshot("still") == state
    assert json.loads(state) == {"5": [1, 0, list(FACE), 0], "7": [0, 1, list(FACE), 1]}


def test_streams_do_not_mix(keep: Keep, person: NDArray[np.uint8]) -> None:
    keep.forget("other")
    frames = [met(person, 0), replace(met(person, 0), stream="other"), met(person, 1)]

    assert kept(keep(frames)) == [False, False, True]


@pytest.mark.parametrize(("index", "known"), [(250, {"5", "7"}), (251, {"7"})])
def test_a_track_that_is_gone_is_forgotten_after_250_frames(
    keep: Keep, person: NDArray[np.uint8], index: int, known: set[str]
) -> None:
    keep([met(person, 0, seen=False)])

    keep([met(person, index, track=7, seen=False)])

    assert set(json.loads(keep.snapshot("still"))) == known


@pytest.mark.parametrize(("shift", "stays"), [(0, True), (40, True), (50, False), (200, False)])
def test_how_far_a_face_that_is_not_compared_may_move(
    keep: Keep, person: NDArray[np.uint8], shift: int, stays: bool
) -> None:
    """140 pixels wide: 40 pixels aside it overlaps by 100 / 180, 50 pixels aside by 90 / 190, which is too little."""
    aside = tuple(np.add(FACE, (shift, 0, shift, 0)).tolist())

    done = keep([met(person, 0), met(person, 1), met(person, 2, seen=False, box=aside)])

    assert kept(done) == [False, True, stays]


def test_a_face_that_is_kept_already_stays_so_and_the_input_is_left_alone(
    keep: Keep, person: NDArray[np.uint8]
) -> None:
    keep(confirmed := [met(person, 0), met(person, 1)])
    faces = Faces.of([FACE, FACE], tracks=[5, -1], kept=[True, False], seen=[False, True])
    frame = replace(frame_of(person, 2), faces=faces)

    (done,) = keep([frame])

    assert done.faces.kept.tolist() == [True, False]
    assert done.faces is not frame.faces
    assert frame.faces.kept.tolist() == [True, False]
    assert kept(confirmed) == [False, False]


def test_without_photos_nobody_is_kept(models: tuple[Path, Path], person: NDArray[np.uint8]) -> None:
    nobody = Keep(*models, photos=[], confirm=1)

    assert kept(nobody([met(person, 0), met(person, 1)])) == [False, False]


def test_a_picture_that_lies_on_its_side_is_compared_upright(keep: Keep, person: NDArray[np.uint8]) -> None:
    lying = np.ascontiguousarray(np.rot90(person, -1))
    x1, y1, x2, y2 = FACE
    box = (480 - y2, x1, 480 - y1, x2)

    upright, flat = (
        kept(
            keep([replace(met(lying, index, track=track, box=box), shown=Shown.turned(rotation)) for index in range(2)])
        )
        for track, rotation in ((5, 90), (6, 0))
    )

    assert (upright, flat) == ([False, True], [False, False])


def test_a_photo_needs_exactly_one_face(models: tuple[Path, Path], person: NDArray[np.uint8], tmp_path: Path) -> None:
    nobody, two, text = (str(tmp_path / name) for name in ("nobody.png", "two.png", "text.png"))
    small = cv2.resize(person, (200, 240))
    cv2.imwrite(nobody, np.zeros_like(small))
    cv2.imwrite(two, np.hstack([small, small]))
    Path(text).write_text("no image")

    descriptor = Descriptor(*models)

    for photo, complaint in ((nobody, "found 0"), (two, "found 2"), (text, "cannot be read")):
        with pytest.raises(ConfigError, match=complaint):
            descriptor.photo(Path(photo))


def test_a_damaged_model(models: tuple[Path, Path], tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.dat"
    damaged.write_bytes(b"no model")

    with pytest.raises(EngineError, match=r"damaged\.dat"):
        Keep(damaged, models[1], photos=[])
