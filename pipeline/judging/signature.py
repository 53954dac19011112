"""Who has the key can tell that a report is as it was made: HMAC-SHA256 over the document."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

from engines import ConfigError
from pipeline.judging.report import JudgingReport

LEAST_KEY_BYTES, MOST_KEY_BYTES = 16, 1 << 16


def signed(report: JudgingReport, key: bytes) -> JudgingReport:
    """The report with its signature."""
    return report.model_copy(update={"signature": _mac(report, key)})


def is_signed_by(report: JudgingReport, key: bytes) -> bool:
    """The report is as whoever has the key signed it."""
    return hmac.compare_digest(report.signature, _mac(report, key))


def read_key(path: Path) -> bytes:
    """The bytes of a key file.

    Raises:
        ConfigError: it cannot be read, or is too short to be a secret.
    """
    try:
        with path.open("rb") as file:
            key = file.read(MOST_KEY_BYTES)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a file that holds a key") from error
    if len(key) < LEAST_KEY_BYTES:
        raise ConfigError(
            f"{path}: expected a key of at least {LEAST_KEY_BYTES} bytes, got {len(key)}; "
            "`head -c 32 /dev/urandom > key` makes one"
        )
    return key


def _mac(report: JudgingReport, key: bytes) -> str:
    document = report.model_dump(mode="json") | {"signature": ""}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
