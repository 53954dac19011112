"""Landlock: the kernel refuses this process files and TCP ports, whoever it runs as. Linux 5.13 and later.

The standard library and glibc have no calls for it, and the numbers are the same on all architectures.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_PATH_BENEATH, _NET_PORT = 1, 2

READ_FILE, READ_DIR = 1 << 2, 1 << 3
_WRITE_FILE, _IOCTL_DEV = 1 << 1, 1 << 15
_CONNECT_TCP = 1 << 1
_FILES_SINCE = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
"""Rights over files by the version that brought them: all of the first, moving between folders, truncating, devices."""
_TCP_SINCE, _SCOPES_SINCE = 4, 6
_BIND_AND_CONNECT, _SOCKETS_AND_SIGNALS = 3, 3

COVERS = {1: "files", 2: "moving files", 3: "truncating", 4: "TCP", 5: "devices", 6: "signals and local sockets"}
"""What each version of the kernel's Landlock adds."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _NetPort(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def version() -> int:
    """Of the kernel's Landlock; 0 where it has none, or it is switched off."""
    found: int = _library().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)
    return max(0, found)


def restrict(
    abi: int, *, readable: Iterable[Path | str] = (), devices: Iterable[Path | str] = (), ports: Iterable[int] = ()
) -> None:
    """From here on this process only reads what is named, and writes nothing; it cannot be taken back.

    Args:
        abi: what `version` said.
        readable: folders and files; what does not exist is passed over.
        devices: files that may be written and given orders, too.
        ports: to which it may connect by TCP, where the version knows of them.

    Raises:
        OSError: the kernel refused.
    """
    files = sum(rights for since, rights in _FILES_SINCE.items() if abi >= since)
    net = _BIND_AND_CONNECT if abi >= _TCP_SINCE else 0
    scopes = _SOCKETS_AND_SIGNALS if abi >= _SCOPES_SINCE else 0
    ruleset = _Ruleset(files, net, scopes)
    size = 24 if scopes else 16 if net else 8  # an older kernel refuses what it does not know
    rules = _call(_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0)
    try:
        for path in readable:
            _allow(rules, path, (READ_FILE | READ_DIR) if Path(path).is_dir() else READ_FILE)
        for path in devices:
            _allow(rules, path, (READ_FILE | _WRITE_FILE | _IOCTL_DEV) & files)
        for port in ports if net else ():
            _call(_ADD_RULE, rules, _NET_PORT, ctypes.byref(_NetPort(_CONNECT_TCP, port)), 0)
        _call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: Path | str, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        _call(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(_PathBeneath(rights, parent)), 0)
    finally:
        os.close(parent)


def _call(number: int, *arguments: object) -> int:
    result: int = _library().syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
