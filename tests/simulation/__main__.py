"""`python -m tests.simulation <seed>`: replays one seed and says what did not add up.

`--bug` plants a bug, and without a seed looks for one that finds it.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext

from tests.simulation.bugs import BUGS
from tests.simulation.shim import InShim, shim
from tests.simulation.world import TABLES, simulate

_MOST = 2_000


def main() -> int:
    """Reads the command line and runs; 1 where something did not add up."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("seed", type=int, nargs="?")
    parser.add_argument("--shim", action="store_true", help="on the shim's DynamoDB")
    parser.add_argument("--bug", choices=BUGS, help="with a bug planted")
    args = parser.parse_args()
    with BUGS[args.bug].planted() if args.bug else nullcontext(), shim() if args.shim else nullcontext() as aws:
        for seed in range(_MOST) if args.seed is None else [args.seed]:
            found = simulate(seed, InShim(aws, TABLES, str(seed)) if aws else None)
            if found.differences or args.seed is not None:
                break
    print(f"seed {found.seed}: {found.counted}")
    print("\n".join(found.differences) or "everything adds up")
    return bool(found.differences)


if __name__ == "__main__":
    sys.exit(main())
