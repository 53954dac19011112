"""What libraries in C say on stderr, past Python: MediaPipe greets there whenever it opens and closes something.

Not here: what they report to Python, as exceptions, which is what counts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2
_one_at_a_time = threading.Lock()


@contextmanager
def native_words_dropped() -> Iterator[None]:
    """Drops all that this process writes to stderr meanwhile, other threads too: only for moments."""
    with _one_at_a_time:  # else the second would take the first one's nowhere for stderr, and leave it there
        kept = os.dup(STDERR)
        try:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no file of anybody
                os.dup2(nowhere.fileno(), STDERR)
            yield
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)
