"""Native modules: which machine they are for, and their bytes without what only a debugger reads.

Offsets are those of a 64-bit little-endian ELF header (`man 5 elf`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

MACHINES = {"arm64": 0xB7, "x86_64": 0x3E}
"""`e_machine` by Lambda's name of the architecture."""
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")


def native_modules(tree: Path) -> Iterator[Path]:
    """Shared objects under `tree`, `libx.so.1` too."""
    return (path for path in tree.rglob("*") if re.search(r"\.so(\.\d+)*$", path.name))


def machine(path: Path) -> int | None:
    """`e_machine` of an ELF file; None for another kind of file."""
    with path.open("rb") as file:
        header = file.read(20)
    return int.from_bytes(header[18:20], "little") if header[:4] == b"\x7fELF" else None


def stripped(content: bytes) -> bytes:
    """The file cut behind the last byte that the loader maps, its section table unnamed.

    Loading goes by program headers alone; sections (symbols, debugging information) stand behind what they describe.
    It is done here because `strip` for another machine is not on every machine.
    """
    program_table, _section_table = struct.unpack_from("<QQ", content, 0x20)
    entry_size, entries = struct.unpack_from("<HH", content, 0x36)
    end = program_table + entry_size * entries
    for number in range(entries):
        _, _, offset, _, _, size_in_file, _, _ = _PROGRAM_HEADER.unpack_from(
            content, program_table + number * entry_size
        )
        end = max(end, offset + size_in_file)
    kept = bytearray(content[:end])
    struct.pack_into("<Q", kept, 0x28, 0)  # e_shoff
    struct.pack_into("<HHH", kept, 0x3A, 0, 0, 0)  # e_shentsize, e_shnum, e_shstrndx
    return bytes(kept)
