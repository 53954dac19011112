"""Commands work on the same material as what they command."""

from tests.pipeline.training.conftest import recipe, small_models, twin

__all__ = ["recipe", "small_models", "twin"]
