"""Replay one history with its trace, or print what many have reached.

python -m tests.simulation SEED [MUTANT]
python -m tests.simulation figures COUNT
"""

from __future__ import annotations

import sys
from collections import Counter

from tests.simulation.figures import missed, table
from tests.simulation.history import first_broken, replay
from tests.simulation.mutants import MUTANTS
from tests.simulation.trouble import Coverage


def main(arguments: list[str]) -> None:
    """Do what the arguments say."""
    if arguments[0] == "figures":
        coverage: Coverage = Counter()
        found = first_broken(range(int(arguments[1])), coverage)
        print(table(coverage))  # noqa: T201 - what it is for
        print(f"never reached: {missed(coverage)}\nfound: {found}")  # noqa: T201
    else:
        mutant = MUTANTS[arguments[1]] if len(arguments) > 1 else None
        print(replay(int(arguments[0]), mutant))  # noqa: T201


main(sys.argv[1:])
