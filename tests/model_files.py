"""Third-party models for tests: fetched once into the user's cache."""

from pathlib import Path

import pytest

from pipeline.models.fetch import ModelError, pull


def model_file(name: str) -> Path:
    """The model's file; skips the test where it cannot be fetched."""
    try:
        return pull([name])[0]
    except ModelError as error:
        pytest.skip(str(error))
