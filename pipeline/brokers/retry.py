"""Repeats work that a broker error has interrupted. Only for work that can be replayed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from pipeline.brokers import BrokerError, BrokerRefused

log = logging.getLogger(__name__)
T = TypeVar("T")

BROKER_PAUSE_S = 1.0


def retry_on_broker_error(work: Callable[[], T], on_error: Callable[[BrokerError], None] | None = None) -> T:
    """Runs `work` until it completes without a broker error, with a pause after each error, which `on_error` gets.

    Raises:
        BrokerRefused: it would never complete.
    """
    while True:
        try:
            return work()
        except BrokerRefused:
            raise
        except BrokerError as error:
            log.warning("%s; trying again", error)
            if on_error is not None:
                on_error(error)
            time.sleep(BROKER_PAUSE_S)
