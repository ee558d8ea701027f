"""`python -m bench.costs`: counts, and writes docs/costs.md."""

from __future__ import annotations

import asyncio
import sys

from bench.costs.counted import count_all
from bench.costs.page import render
from bench.targets import ROOT

PAGE = ROOT / "docs" / "costs.md"


def main() -> int:
    """The command."""
    PAGE.write_text(render(asyncio.run(count_all())))
    sys.stdout.write(f"wrote: {PAGE.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
