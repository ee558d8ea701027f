"""Command line: `python3 -m tools.packaging {dependencies,shared,part,function} … OUT`. OUT: SAM's artefact folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.packaging import code, dependencies
from tools.packaging.errors import BuildError

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Builds one artefact; the exit status tells."""
    parser = argparse.ArgumentParser(prog="tools.packaging", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in ("dependencies", "shared", "part", "function"):
        command = kinds.add_parser(kind)
        if kind == "dependencies":
            command.add_argument("--arch", choices=sorted(dependencies.PLATFORMS), default="arm64")
            command.add_argument("--layer", default="dependencies", help="folder under layers/")
        if kind == "function":
            command.add_argument("name", help="folder under functions/")
        if kind == "part":
            command.add_argument("name", choices=code.APART, help="folder under shared/ownkey/")
        command.add_argument("out", type=Path)
    args = parser.parse_args()
    try:
        if args.kind == "dependencies":
            dependencies.build(ROOT, args.layer, args.arch, args.out)
        elif args.kind == "shared":
            code.build_shared(ROOT, args.out)
        elif args.kind == "part":
            code.build_part(ROOT, args.name, args.out)
        else:
            code.build_function(ROOT, args.name, args.out)
    except BuildError as e:
        print(f"build failed: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
