"""What counts as a change of the picture, and what explains itself."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operators.boxes import iou
from operators.detect.evidence import Change, Evidence, reduced, scale_of, span, tiles_of
from operators.frame import PIXEL_FORMATS, Picture
from operators.stills import picture_of
from tests.operators.detect.drawn_faces import scene, with_face

WIDTH, HEIGHT = 640, 360
EVERYTHING = (0, 0, WIDTH, HEIGHT)


def begun(image: NDArray[np.uint8]) -> Evidence:
    """Evidence that has seen a picture all of which was looked at."""
    evidence = Evidence(picture_of(image))
    evidence.looked_at(*EVERYTHING)
    return evidence


def noisy(image: NDArray[np.uint8], sigma: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    return np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)


def changed_within(change: Change, x: float, y: float, px: float) -> float:
    box = span(y - px / 2, y + px / 2, change.scale), span(x - px / 2, x + px / 2, change.scale)
    return float(change.changed[box].mean())


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 999), st.floats(0, 8))
def test_noise_changes_nothing(seed: int, sigma: float) -> None:
    rng, room = np.random.default_rng(seed), scene(seed=seed)
    evidence = begun(noisy(room, sigma, rng))

    shares = [evidence.compare(picture_of(noisy(room, sigma, rng))).changed.mean() for _ in range(12)]

    assert max(shares[4:]) == 0  # by then it knows the noise


@settings(max_examples=15, deadline=None)
@given(st.integers(24, 90), st.floats(0.1, 0.9), st.floats(0.15, 0.85))
def test_a_face_is_noticed_in_the_frame_in_which_it_comes_and_in_which_it_goes(px: int, x: float, y: float) -> None:
    room = scene()
    face = with_face(room, x * WIDTH, y * HEIGHT, px)
    evidence = begun(room)
    evidence.compare(picture_of(room))

    came = evidence.compare(picture_of(face))
    evidence.looked_at(*EVERYTHING)
    stayed = evidence.compare(picture_of(face))
    went = evidence.compare(picture_of(room))

    assert changed_within(came, x * WIDTH, y * HEIGHT, min(px, 60)) > 0.15
    assert not stayed.changed.any()
    assert changed_within(went, x * WIDTH, y * HEIGHT, min(px, 60)) > 0.15


def test_what_was_not_looked_at_stays_changed() -> None:
    room, face = scene(), with_face(scene(), 300, 200, 40)
    evidence = begun(room)

    shares = [changed_within(evidence.compare(picture_of(face)), 300, 200, 40) for _ in range(5)]

    assert min(shares) > 0.5


@pytest.mark.parametrize("frames", [10, 50, 250])
def test_a_face_that_fades_in_is_noticed_before_it_is_half_there(frames: int) -> None:
    room, face = scene(), with_face(scene(), 300, 200, 60)
    evidence = begun(room)

    for number in range(1, frames + 1):
        mixed = cv2.addWeighted(face, number / frames, room, 1 - number / frames, 0)
        if changed_within(evidence.compare(picture_of(mixed)), 300, 200, 60) > 0.3:
            break

    assert number / frames < 0.5


@pytest.mark.parametrize("light", [0.85, 1.1])
def test_light_that_changes_everywhere_is_no_change_of_what_is_seen(light: float) -> None:
    room = scene()
    evidence = begun(room)

    change = evidence.compare(picture_of(np.clip(room * light, 0, 255).astype(np.uint8)))

    assert change.share < 0.1


@pytest.mark.parametrize(("light", "noticed"), [(1.0, False), (0.08, True)])
def test_a_change_counts_against_the_light_there_is(light: float, noticed: bool) -> None:
    """The same few grey levels are a face in the dark, and nothing by day."""
    room = np.full((HEIGHT, WIDTH, 3), round(150 * light), np.uint8)
    other = room.copy()
    other[180:200, 280:320] += 7
    other[200:220, 280:320] -= 3
    evidence = begun(room)

    assert bool(evidence.compare(picture_of(other)).changed.any()) == noticed


def test_a_camera_that_pans_explains_itself_but_for_what_comes_in() -> None:
    street = scene(1600, HEIGHT, seed=3)
    evidence = begun(street[:, :WIDTH])

    for left in range(16, 320, 16):
        change = evidence.compare(picture_of(street[:, left : left + WIDTH]))
        evidence.looked_at(WIDTH - 120, 0, WIDTH, HEIGHT)
        assert change.changed[:, : -200 // change.scale].mean() < 0.02

    assert change.changed[:, -8:].mean() > 0.2
    assert np.median(change.flow[..., 0]) * change.scale == pytest.approx(16, abs=2)  # type: ignore[index]


def test_a_label_moves_along_with_what_it_names() -> None:
    room = scene()
    evidence = begun(with_face(room, 200, 180, 48))
    evidence.label(np.array([176.0, 156, 224, 204]), 7)

    for x in range(204, 260, 4):
        evidence.compare(picture_of(with_face(room, x, 180, 48)))

    rows, columns = np.nonzero(evidence.labels == 7)
    scale = evidence.scale
    box = scale * np.array([[columns.min(), rows.min(), columns.max(), rows.max()]], float)
    assert iou(box, np.array([[239.0, 163, 273, 197]]))[0, 0] > 0.6


def test_looking_takes_labels_away() -> None:
    evidence = begun(scene())
    evidence.label(np.array([100.0, 100, 200, 200]), 3)

    evidence.looked_at(*EVERYTHING)

    assert not evidence.labels.any()


def test_another_picture_changes_most_tiles_and_the_same_again_none() -> None:
    one, other = scene(seed=1), scene(seed=2)
    evidence = begun(one)
    before = evidence.plane

    cut = evidence.compare(picture_of(other))
    apart = evidence.differs_from(before, cut.light)
    back = evidence.compare(picture_of(one))

    assert cut.share > 0.6 < apart
    assert evidence.differs_from(before, back.light) == 0


def test_what_came_at_once_is_sudden_and_what_moved_is_not() -> None:
    room = scene()
    evidence = begun(room)
    box = np.array([276.0, 156, 324, 204])

    came = evidence.compare(picture_of(with_face(room, 300, 180, 48)))
    assert evidence.is_sudden(came, box)

    moved = evidence.compare(picture_of(with_face(room, 304, 180, 48)))
    assert not evidence.is_sudden(moved, box + 4)


@pytest.mark.parametrize(
    ("width", "height", "scale"), [(320, 240, 1), (640, 360, 2), (1280, 720, 4), (1920, 1080, 4), (3840, 2160, 8)]
)
def test_the_reduced_plane_is_small_whatever_the_picture(width: int, height: int, scale: int) -> None:
    assert scale_of(picture_of(np.zeros((height, width, 3), np.uint8))) == scale


def test_ten_bits_are_compared_as_eight() -> None:
    planes = [np.full(shape, 400, np.uint16) for shape in ((8, 8), (4, 4), (4, 4))]

    plane = reduced(Picture((planes[0], planes[1], planes[2]), PIXEL_FORMATS["yuv420p10le"]), 4)

    assert plane.tolist() == [[100.0] * 2] * 2


@pytest.mark.parametrize(("low", "high", "samples"), [(0, 4, (0, 1)), (3.9, 4.1, (0, 2)), (-9, -1, (0, 0))])
def test_samples_that_pixels_touch(low: float, high: float, samples: tuple[int, int]) -> None:
    assert span(low, high, 4) == slice(*samples)


def test_tiles_at_the_far_edges_are_cut_off() -> None:
    changed = np.zeros((9, 9), np.bool_)
    changed[8, 8] = True

    assert tiles_of(changed).tolist() == [[False, False], [False, True]]
