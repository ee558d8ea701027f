"""Runs a module as `python -m local.child <module> [arguments]`, and ends it when the process that started it is gone.

A stack that is killed cannot end its children; this one notices by itself.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time

_CHECK_EVERY_S = 0.5


def main() -> None:
    """Watches the parent and becomes the module."""
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), name="parent-watch", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_CHECK_EVERY_S)
    os._exit(1)


if __name__ == "__main__":
    main()
