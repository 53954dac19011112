"""What tests of several folders of the pipeline share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipeline.media.scripted_decoder import ScriptedDecoder, scripted_decoders


@pytest.fixture
def decoders() -> Iterator[list[ScriptedDecoder]]:
    """An intake opens decoders that do what a packet's data says; these are the ones it has opened."""
    with scripted_decoders() as opened:
        yield opened
