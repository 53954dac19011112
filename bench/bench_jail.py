"""What the jail's filter costs: `python -m bench.bench_jail`.

A clip is decoded by two child processes packet by packet in turn, one with the filter of system calls and Landlock and
one without, and their CPU time is compared: `jail_over_bare`, the median over rounds. Each begins first in every other
round. Starting a child is left out: a decoder lives as long as its stream.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.clips import SIZES
from bench.data import data_folder
from pipeline.jail import landlock, parent
from pipeline.media import Decoded, Decoder, Demuxer
from pipeline.provenance import write_report
from pipeline.wire import Head, Packet

SLOTS, WAIT_S, MAX_PACKETS = 16, 0.002, 300  # a packet without a picture is not announced
KINDS = ("with", "without")


@contextmanager
def unfiltered() -> Iterator[None]:
    """Children that are started meanwhile have limits alone, as on a kernel without filters and Landlock."""
    changed = (vars(parent), "filters_calls", lambda: False), (vars(landlock), "version", lambda: 0)
    kept = [names[name] for names, name, _ in changed]
    for names, name, without in changed:
        names[name] = without
    try:
        yield
    finally:
        for (names, name, _), before in zip(changed, kept, strict=True):
            names[name] = before


def read(path: Path, most: int) -> tuple[Head, list[Packet]]:
    """The head of a video and its first packets, numbered."""
    with Demuxer(str(path), audio=False) as demuxer:
        head, packets = next(demuxer).head, []
        for number, record in zip(range(most), demuxer, strict=False):
            record.packet.number = number
            packets.append(record.packet)
    return head, packets


def decoder_of(kind: str, head: Head) -> Decoder:
    """One of `KINDS`."""
    if kind == "with":
        return Decoder(head, slots=SLOTS)
    with unfiltered():
        return Decoder(head, slots=SLOTS)


def cpu_ms(head: Head, packets: Sequence[Packet], order: Sequence[str] = KINDS) -> dict[str, float]:
    """CPU time of each kind of child for all packets after the first, which warms it up."""
    decoders = {kind: decoder_of(kind, head) for kind in order}
    began = dict.fromkeys(order, 0.0)
    try:
        for count, packet in enumerate(packets):
            for kind in order:
                _decode(decoders[kind], packet)
                if count == 0:
                    began[kind] = decoders[kind].cpu_ms
        return {kind: decoder.cpu_ms - began[kind] for kind, decoder in decoders.items()}
    finally:
        for decoder in decoders.values():
            decoder.close()


def _decode(decoder: Decoder, packet: Packet) -> None:
    before = decoder.decoded
    decoder.send(packet)
    while decoder.decoded == before:
        for item in decoder.receive(WAIT_S):
            if isinstance(item, Decoded):
                decoder.release(item.slot)


def figures_of(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """The ratio of the two, and how far rounds of it lay apart.

    >>> figures_of([{"with": 10.0, "without": 10.0}, {"with": 11.0, "without": 10.0}, {"with": 10.1, "without": 10.0}])
    {'rounds': 3, 'jail_over_bare': 1.01, 'jail_over_bare_spread': 0.099}
    """
    ratios = [each["with"] / each["without"] for each in rounds]
    middle = statistics.median(ratios)
    spread = round((max(ratios) - min(ratios)) / middle, 4)
    return {"rounds": len(rounds), "jail_over_bare": round(middle, 4), "jail_over_bare_spread": spread}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path, nargs="?", help="a video; the 720p one of the data sets if not given")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--packets", type=int, default=MAX_PACKETS, help="so many of the clip at most")
    given = parser.parse_args()
    head, packets = read(given.clip or data_folder() / "videos" / SIZES["720p"], given.packets)
    rounds = [cpu_ms(head, packets, KINDS[:: 1 - 2 * (number % 2)]) for number in range(given.rounds)]
    table = Table("round", "CPU-ms with", "without", "ratio", title=f"decoding {len(packets)} packets in the jail")
    for number, each in enumerate(rounds):
        ratio = each["with"] / each["without"]
        table.add_row(str(number), f"{each['with']:.1f}", f"{each['without']:.1f}", f"{ratio:.4f}")
    figures = figures_of(rounds)
    console = Console()
    console.print(table)
    console.print(
        f"with the filter {figures['jail_over_bare']:.4f} of the CPU time without "
        f"(rounds spread over {figures['jail_over_bare_spread']:.1%})"
    )
    write_report(given.json, figures, rounds, code=("bench/bench_jail.py", "pipeline/jail", "pipeline/media"))


if __name__ == "__main__":
    main()
