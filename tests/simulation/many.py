"""Many seeds, on every core. Apart from the tests: other processes find these functions by the module's name."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.shim import InShim, shim
from tests.simulation.world import TABLES, Findings, simulate

_CHUNK = 250


def again(found: Findings) -> str:
    """How to see it again, and what there is to see."""
    return f"python -m tests.simulation {found.seed}: {found.differences[:3]}"


def in_process(first: int, last: int) -> tuple[Counter[str], list[str]]:
    """What came of seeds on the model, and those that failed."""
    counted, failed = Counter[str](), list[str]()
    for seed in range(first, last):
        found = simulate(seed)
        counted.update(found.counted)
        failed += [again(found)] if found.differences else []
    return counted, failed


def in_shim(first: int, last: int) -> tuple[Counter[str], list[str]]:
    """The same on the shim's DynamoDB; a history other than the model's is a failure too. Every tenth is verified."""
    counted, failed = Counter[str](), list[str]()
    with shim() as aws:
        store = InShim(aws, TABLES, f"{os.getpid()}-{first}")
        for seed in range(first, last):
            found = simulate(seed, store, verifies=seed % 10 == 0)
            store.empty()
            counted.update(found.counted)
            failed += [again(found)] if found.differences else []
            if not found.differences and found != simulate(seed, verifies=False):
                failed.append(f"seed {seed} goes another way on the model")
    return counted, failed


def over(work: Callable[[int, int], tuple[Counter[str], list[str]]], seeds: int) -> tuple[Counter[str], list[str]]:
    """All seeds, on every core."""
    counted, failed = Counter[str](), list[str]()
    starts = range(0, seeds, _CHUNK)
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        for some, bad in pool.map(work, starts, [min(first + _CHUNK, seeds) for first in starts]):
            counted.update(some)
            failed += bad
    return counted, failed
