"""`python -m tools.openapi build` writes the document; `check` only says whether it would change."""

from __future__ import annotations

import argparse
import sys

from tools.openapi.document import FILE, MissingOperationError, build


def main(arguments: list[str]) -> int:
    """0: built, or nothing to build; 1: it would change, or a route has no row."""
    parser = argparse.ArgumentParser(prog="python -m tools.openapi", description=__doc__)
    parser.add_argument("command", choices=("build", "check"))
    command = parser.parse_args(arguments).command
    try:
        text = build()
    except MissingOperationError as e:
        print(e, file=sys.stderr)
        return 1
    changes = not FILE.exists() or FILE.read_text() != text
    if changes and command == "build":
        FILE.write_text(text)
    print(f"{'would change' if command == 'check' else 'wrote'}: {FILE.name if changes else 'nothing'}")
    return 1 if changes and command == "check" else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
