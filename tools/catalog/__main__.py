"""`python -m tools.catalog build` writes the catalog's data files; `check` only says whether they would change;
`measure` prints what the documents count."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

from tools.catalog.build import PINS, SIGNED_OFF, BuildError, build
from tools.catalog.measure import measured
from tools.catalog.oracle import read_sign_offs
from tools.catalog.source import Pins, SourceError, price_file
from tools.catalog.transform import UnknownPriceFieldError


def main(arguments: list[str]) -> int:
    """0: built, or nothing to build; 1: refused, with the reasons on stderr."""
    parser = argparse.ArgumentParser(prog="python -m tools.catalog", description=__doc__)
    parser.add_argument("command", choices=("build", "check", "measure"))
    parser.add_argument("--wheel", type=Path, help="litellm's wheel, if it is here already")
    options = parser.parse_args(arguments)
    if options.command == "measure":
        print(*measured(), sep="\n")
        return 0
    pins = Pins.read(PINS)
    try:
        if (installed := version("genai-prices")) != pins.genai_prices_version:
            raise BuildError(f"genai-prices {installed} is installed; pins.toml says {pins.genai_prices_version}")
        files = build(price_file(pins, options.wheel), pins, sign_offs=read_sign_offs(SIGNED_OFF))
    except (BuildError, SourceError, UnknownPriceFieldError) as e:
        print(f"{type(e).__name__}:\n{e}", file=sys.stderr)
        return 1
    changed = [path for path, text in files.items() if not _is(path, text)]
    for path in changed if options.command == "build" else ():
        path.write_text(files[path])
    names = ", ".join(path.name for path in changed)
    print(f"{'would change' if options.command == 'check' else 'wrote'}: {names or 'nothing'}")
    return 1 if changed and options.command == "check" else 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
