"""A worker that copies the numbered packets of one stream to `masked` in units, in a process that tests stop and kill.

It resumes two packets before the first that it has not copied, as a worker does that needs a keyframe, and fails if
that is not what it is served.
"""

from __future__ import annotations

import json
import random
import sys
import time

from pipeline.brokers import MASKED, STATE, Broker, BrokerError, Fenced, Member, Message, Record, open_broker

STREAM = "cam"
BACK = 2
LARGEST_UNIT = 20


def number(record: Record) -> int:
    return int(record.value.split(b" ", 1)[0])


class Copier:
    """Copies until it has copied packet `last`.

    Args:
        seed: for the sizes of the units.
        pause_s: how long it works on a unit.
    """

    def __init__(self, broker: Broker, name: str, last: int, *, seed: int = 0, pause_s: float = 0) -> None:
        self._broker, self._name, self._last = broker, name, last
        self._random, self._pause_s = random.Random(seed), pause_s
        self._held: list[Record] = []

    def run(self, *, patient: bool = False) -> None:
        """Lets errors of the broker pass if it is patient."""
        member = self._broker.member("group", self._name)
        try:
            while not self._is_done():
                try:
                    self.turn(member)
                except Fenced:
                    self._held = []
                    print("fenced", flush=True)
                except BrokerError:
                    self._held = []
                    if not patient:
                        raise
        finally:
            member.close()

    def _is_done(self) -> bool:
        try:
            return self._broker.latest(STATE, STREAM) == b"%d" % (self._last + 1)
        except BrokerError:
            return False

    def turn(self, member: Member) -> None:
        records = member.poll(0.05, max_bytes=self._random.randint(1, 200_000))
        if STREAM not in member.streams():
            self._held = []
            return
        copied = int(member.state(STREAM) or 0)
        if not self._held and records:
            served, expected = number(records[0]), max(0, copied - BACK)
            assert served == expected, f"{self._name} resumes at {served}, not {expected}"
        self._held += records
        new = [record for record in self._held if number(record) >= copied][: self._random.randint(1, LARGEST_UNIT)]
        if not new:
            return
        unit = [Message(MASKED, b"%d %d/%d" % (number(r), i, len(new))) for i, r in enumerate(new)]
        upto = number(new[-1]) + 1
        self._held = [record for record in self._held if number(record) >= upto - BACK]
        print("commits", flush=True)
        time.sleep(self._pause_s)
        member.commit(STREAM, unit, b"%d" % upto, resume_offset=self._held[0].offset, ended=upto > self._last)


if __name__ == "__main__":
    url, options, name, last, seed, pause_s = sys.argv[1:]
    Copier(open_broker(url, **json.loads(options)), name, int(last), seed=int(seed), pause_s=float(pause_s)).run()
