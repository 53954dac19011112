"""For work on a broker that can be replayed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from pipeline.brokers import BrokerError

log = logging.getLogger(__name__)
T = TypeVar("T")

BROKER_PAUSE_S = 1.0


def retry_on_broker_error(work: Callable[[], T]) -> T:
    """Runs `work` again whenever the broker fails under it: all of it can be replayed."""
    while True:
        try:
            return work()
        except BrokerError as error:
            log.warning("%s; trying again", error)
            time.sleep(BROKER_PAUSE_S)
