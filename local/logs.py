"""What functions write, in a file for each: `.local/logs/<function>.log`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path


class FunctionLog:
    """The log of one function, all its environments together; each line says when and which."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("wb", buffering=0)
        self._unfinished: dict[str, bytes] = {}

    def output(self, environment_id: str, data: bytes) -> None:
        """What an environment's process wrote, cut anywhere."""
        data = self._unfinished.pop(environment_id, b"") + data
        *lines, rest = data.split(b"\n")
        if rest:
            self._unfinished[environment_id] = rest
        if lines:
            prefix = _prefix(environment_id)
            self._file.write(b"".join([prefix + line + b"\n" for line in lines]))

    def line(self, environment_id: str, text: str) -> None:
        """A line of Lambda's own."""
        self._file.write(_prefix(environment_id) + text.encode() + b"\n")

    def text(self) -> str:
        """All of it so far."""
        return self.path.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Writes what is left of unfinished lines, and closes the file."""
        for environment_id, rest in self._unfinished.items():
            self._file.write(_prefix(environment_id) + rest + b"\n")
        self._unfinished.clear()
        self._file.close()


def _prefix(environment_id: str) -> bytes:
    return f"{datetime.now():%H:%M:%S.%f} {environment_id} | ".encode()
