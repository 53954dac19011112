"""A picture that the encoder does not take is a matter of that frame, not of the stream."""

from __future__ import annotations

import numpy as np
import pytest

from engines import FrameError
from operators.shown import AS_IT_LIES
from operators.stills import picture_of
from pipeline.config import EncodeSection
from pipeline.live.masked_output import MaskedOutput
from pipeline.live.resume import ResumePoint
from pipeline.wire import Head, Rational

WIDER_THAN_H264 = 16_400


def test_a_picture_that_no_encoder_takes() -> None:
    output = MaskedOutput(EncodeSection(), ResumePoint())
    head = Head(time_base=Rational(num=1, den=25), rate=Rational(num=25, den=1))

    with pytest.raises(FrameError, match=f"does not take .* at {WIDER_THAN_H264}x16"):
        output.prepare(head, picture_of(np.zeros((16, WIDER_THAN_H264, 3), np.uint8)), AS_IT_LIES)
