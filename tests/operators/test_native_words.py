"""What a library in C says is dropped for a moment, whoever else does the same then."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from operators.native_words import STDERR, native_words_dropped
from tests.model_files import model_file


def test_words_are_dropped_and_stderr_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(STDERR, b"before ")
    with native_words_dropped():
        os.write(STDERR, b"meanwhile ")
    os.write(STDERR, b"after")

    assert capfd.readouterr().err == "before after"


def test_it_comes_back_after_an_error_and_after_several_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    def drop(number: int) -> None:
        with native_words_dropped():
            os.write(STDERR, b"meanwhile ")
            if number % 2:
                raise ValueError("no")

    with ThreadPoolExecutor(8) as pool:
        failed = [done.exception() for done in [pool.submit(drop, number) for number in range(64)]]
    os.write(STDERR, b"after")

    assert sum(error is not None for error in failed) == 32
    assert capfd.readouterr().err == "after"


OPENED = """
import sys
from pathlib import Path
import numpy as np
from operators.detect.blazeface import BlazeFace
from operators.landmarks.mediapipe import Landmarker
from operators.stills import frame_of

frame = frame_of(np.zeros((200, 200, 3), np.uint8))
for operator in (BlazeFace(Path(sys.argv[1])), Landmarker(Path(sys.argv[2]))):
    print(len(operator(operator([frame]))))
    operator.close()
"""


def test_mediapipe_says_nothing_on_stderr() -> None:
    models = [str(model_file(name)) for name in ("blazeface", "face_landmarker")]

    done = subprocess.run([sys.executable, "-c", OPENED, *models], capture_output=True, text=True, check=True)

    assert (done.stdout.split(), done.stderr) == (["1", "1"], "")
