"""Planes of a picture as the kernels see them: the structure of `planes.h`."""

from __future__ import annotations

import numpy as np

from engines import AnyArray

PLANE = np.dtype([("samples", "u8"), ("row", "i8"), ("column", "i8"), ("rows", "i4"), ("columns", "i4")], align=True)


def plane_entry(plane: AnyArray) -> tuple[int, int, int, int, int]:
    """One PLANE of a numpy or device array `(rows, columns)`. It holds an address: the array must outlive its use."""
    memory = getattr(plane, "__cuda_array_interface__", None) or plane.__array_interface__
    (rows, columns), item = memory["shape"], np.dtype(memory["typestr"]).itemsize
    row, column = memory.get("strides") or (columns * item, item)
    return memory["data"][0], row // item, column // item, rows, columns
