"""When a frame was: by its camera's clock, or by the file's; unknown rather than wrong."""

from __future__ import annotations

import pytest

from pipeline.live.frame_report import YEAR_10000_US, utc_us_of
from pipeline.media.intake import without_data
from pipeline.wire import Head, Packet, Rational

MADE_US, RECEIVED_US = 1_714_979_289_000_000, 1_767_268_800_123_456
BASE = Rational(num=1, den=90_000)


@pytest.mark.parametrize(
    ("head", "received_us", "expected"),
    [
        pytest.param(Head(created_us=MADE_US, first_pts=9_000, time_base=BASE), 0, MADE_US + 900_000, id="a file"),
        pytest.param(Head(time_base=BASE), 0, 0, id="a file that does not say when it was made"),
        pytest.param(Head(live=True, time_base=BASE), RECEIVED_US, RECEIVED_US, id="a camera"),
        pytest.param(
            Head(live=True, created_us=MADE_US, time_base=BASE),
            RECEIVED_US,
            RECEIVED_US,
            id="a camera that says so too",
        ),
        pytest.param(Head(live=True, time_base=BASE), 0, 0, id="a packet from before this was recorded"),
        pytest.param(Head(created_us=MADE_US, first_pts=-(2**60), time_base=BASE), 0, 0, id="beyond all years"),
        pytest.param(Head(created_us=MADE_US, first_pts=2**60, time_base=BASE), 0, 0, id="before all time"),
        pytest.param(Head(live=True, time_base=BASE), YEAR_10000_US, 0, id="a clock that is wild"),
    ],
)
def test_the_time_of_a_frame(head: Head, received_us: int, expected: int) -> None:
    assert utc_us_of(head, 90_000, received_us) == expected


def test_the_time_a_packet_was_received_outlives_its_data() -> None:
    packet = without_data(Packet(number=0, pts=5, data=b"picture", received_us=RECEIVED_US))

    assert (packet.received_us, packet.data) == (RECEIVED_US, b"")
