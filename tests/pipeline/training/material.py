"""What tests of trainings share: recipes, and the pairs of a small set."""

from __future__ import annotations

from pipeline.training.recipe import Data, Recipe

PAIRS = {"train": [("000", "001"), ("002", "003")], "val": [("004", "005"), ("006", "007")], "test": [("008", "009")]}
FRONTAL = Data(set="fairface", size=64, whole=True, turned=0.3, splits=["test"], most=30)
RECIPE = Recipe(use="deepfake.acmf", data=Data(set="fairface"), options={"epochs": 2})
