import numpy as np
import pytest

from operators.upright import boxes_to_coded, boxes_to_upright, points_to_coded, points_to_upright, upright

WIDTH, HEIGHT = 40, 30


@pytest.mark.parametrize("rotation", [0, 90, 180, 270, -90, 450])
def test_points_follow_their_pixel(rotation: int) -> None:
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    image[5, 7] = 1

    y, x = np.argwhere(upright(image, rotation))[0]
    turned = points_to_upright(np.array([7.5, 5.5]), rotation, WIDTH, HEIGHT)

    assert turned.tolist() == [x + 0.5, y + 0.5]
    assert points_to_coded(turned, rotation, WIDTH, HEIGHT).tolist() == [7.5, 5.5]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_boxes_go_there_and_back(rotation: int) -> None:
    boxes = np.array([[1, 2, 11, 5], [0, 0, WIDTH, HEIGHT]], np.float32)

    turned = boxes_to_upright(boxes, rotation, WIDTH, HEIGHT)

    assert (turned[:, :2] < turned[:, 2:]).all()
    assert boxes_to_coded(turned, rotation, WIDTH, HEIGHT).tolist() == boxes.tolist()


def test_only_quarter_turns() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)

    assert upright(image, 30).tolist() == image.tolist()
