"""Things that are done now and then: of each name at most once in so many seconds, by this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

EVERY_S = 60.0
_REMEMBERED = 4_096
"""Names; of more, the one that was longest not due is forgotten, and due early."""


class Sampler:
    """Says when a name's turn has come.

    Args:
        monotonic: Seconds.
    """

    def __init__(self, every_s: float = EVERY_S, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._monotonic = monotonic
        self._taken: OrderedDict[str, float] = OrderedDict()

    def due(self, name: str) -> bool:
        """Whether it is the name's turn; if so, it is taken."""
        at = self._monotonic()
        taken = self._taken.get(name)
        if taken is not None and at - taken < self._every_s:
            return False
        self._taken[name] = at
        self._taken.move_to_end(name)
        if len(self._taken) > _REMEMBERED:
            self._taken.popitem(last=False)
        return True

    def give_back(self, name: str) -> None:
        """The turn came to nothing: the next one is due at once."""
        self._taken.pop(name, None)
