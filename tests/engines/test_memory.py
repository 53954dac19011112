"""The memory of arrays that are gone is used again, not taken anew from the system."""

import platform
import resource
import subprocess
import sys

import pytest


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another one")
def test_memory_of_arrays_is_used_again() -> None:
    code = """
import resource, numpy
from engines.memory import keep_memory
keep_memory()
for round in range(10):
    if round == 5:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    numpy.ones(12_000_000, numpy.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)

    pages = 5 * 4 * 12_000_000 // resource.getpagesize()
    assert faults < pages / 100
