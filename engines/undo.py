"""What is taken back where something does not come to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def undone_on_failure(undo: Callable[[], object]) -> Iterator[None]:
    """Calls `undo` if the block is left by an exception, whichever, which goes on then.

    >>> with undone_on_failure(lambda: print("undone")):
    ...     print("done")
    done
    """
    with ExitStack() as failed:
        failed.callback(undo)
        yield
        failed.pop_all()
