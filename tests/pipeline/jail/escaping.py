"""A role that tries to get out of its jail, and tells how far it came."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.jail.protocol import Channel
from tests.pipeline.jail import escapes


def serve(channel: Channel, settings: Mapping[str, Any]) -> None:
    if settings["way"] in ("all", "files"):
        tried = escapes.attempts if settings["way"] == "all" else escapes.of_files
        said = tried(Path(settings["folder"]), settings["port"], settings["parent"])
        channel.send(1, json.dumps(said).encode())
    elif settings["way"] == "int80":
        escapes.by_the_old_gate()
    elif settings["way"] == "x32":
        escapes.by_x32()
    channel.send(1, b"still there")
