"""Work on a broker is done again until it succeeds, and only a broker's errors are waited for."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from engines import StreamError
from pipeline.brokers import BrokerError, Fenced
from pipeline.brokers.retry import retry_on_broker_error


def failing(*errors: Exception) -> Callable[[], int]:
    """Work that raises these one after the other, then returns how often it was done."""
    calls: list[int] = []

    def work() -> int:
        calls.append(1)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return len(calls)

    return work


@pytest.mark.parametrize("errors", [(), (BrokerError("gone"),), (BrokerError("gone"), Fenced("late"))])
def test_work_is_done_until_the_broker_lets_it(
    errors: tuple[BrokerError, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pipeline.brokers.retry.BROKER_PAUSE_S", 0.0)

    with caplog.at_level(logging.WARNING):
        done = retry_on_broker_error(failing(*errors))

    assert done == len(errors) + 1
    assert caplog.messages == [f"{error}; trying again" for error in errors]


@pytest.mark.parametrize("error", [StreamError("broken"), ValueError("wrong")], ids=repr)
def test_other_errors_are_not_waited_for(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        retry_on_broker_error(failing(error, error))
