"""What a sink keeps in the broker about itself, under a name of its own: where it is, and which files are its own."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

from pipeline.brokers import INGEST, Broker


class SinkState:
    """The state of one sink. A second one of the same name fences the first.

    Args:
        kind: `file`, `push` or `verdicts`.

    Raises:
        BrokerError: see `Broker.writer`.
    """

    def __init__(self, broker: Broker, kind: str, stream: str) -> None:
        self._name = f"{kind}.{stream}"
        self._writer = broker.writer(self._name)
        stored = broker.latest(INGEST, self._name)
        self.values: dict[str, Any] = json.loads(stored) if stored else {}

    def save(self, **values: Any) -> None:
        """Replaces all of it.

        Raises:
            BrokerError: whether it was stored is unknown.
        """
        self._writer.write(self._name, [], json.dumps(values).encode())
        self.values = values

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


def state_names(stream: str) -> list[str]:
    """Under which names sinks of a stream keep their states.

    >>> state_names("door")
    ['file.door', 'push.door', 'verdicts.door']
    """
    return [f"{kind}.{stream}" for kind in ("file", "push", "verdicts")]
