import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from engines import ConfigError
from pipeline import models
from pipeline.models import ModelError, Patch, find_model, list_models, pull, verify

CONTENT = b"weights"


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


def taped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tape:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tape.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
