"""Turns the tree into what Lambda runs: `python3 -m tools.packaging`, called by the makefiles that `sam build` runs.

Standard library only, since it runs before anything is installed. Why a build of our own and not SAM's pip builder:
docs/decisions/0005-template-and-build.md.
"""
