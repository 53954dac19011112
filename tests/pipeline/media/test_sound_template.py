"""A stream of sound made of numbers alone is what a muxer needs."""

from __future__ import annotations

import pytest

from pipeline.media.sound import ALL_COPIED
from pipeline.media.sound_template import template_stream
from pipeline.wire import AudioTrack


@pytest.mark.parametrize("codec", sorted(ALL_COPIED))
def test_there_is_one_for_each_codec_that_is_copied(codec: str) -> None:
    stream = template_stream(AudioTrack(track=1, codec=codec, sample_rate=32000, layout="mono"))

    assert (stream.type, stream.codec_context.codec.canonical_name) == ("audio", codec)
    assert not stream.codec_context.is_open
