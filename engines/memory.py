"""How the C library deals with the memory of what is gone."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Of glibc's <malloc.h>."""


def keep_memory() -> None:
    """Has the C library keep the memory of arrays that are gone, and use it again, until the process ends.

    By default it hands large blocks back, and each new array takes its pages anew: for a tensor that costs two to four
    times what batch norm or an activation computes in it. Only glibc is asked for it; others stay as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**28)):
            mallopt(parameter, value)
