"""`python -m bench scenarios | latency | compare A.json B.json`; each of `bench_*.py` is a command of its own too."""

from __future__ import annotations

import argparse

from bench import bench_latency, compare, scenarios

COMMANDS = {"scenarios": scenarios, "latency": bench_latency, "compare": compare}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        assert module.__doc__
        command = commands.add_parser(name, help=module.__doc__.split("\n")[0], description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
