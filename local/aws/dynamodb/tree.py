"""What DynamoDB's expressions say, as frozen trees; `syntax` builds them, `conditions` and `updates` walk them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Tree = TypeVar("Tree")


@dataclass(frozen=True, slots=True)
class Path:
    """A document path: attribute names, `#` placeholders and list indexes."""

    elements: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Ref:
    """A `:value` placeholder."""

    name: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function call, in conditions and in updates."""

    name: str
    arguments: tuple[Operand, ...]


Operand = Path | Ref | Function


@dataclass(frozen=True, slots=True)
class Comparison:
    """`left operator right`."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    """`operand BETWEEN low AND high`, both inclusive."""

    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class Membership:
    """`operand IN (options)`."""

    operand: Operand
    options: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions joined by one of AND, OR."""

    operator: str
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """`NOT part`."""

    part: Condition


Condition = Comparison | Between | Membership | Junction | Negation | Function


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`left + right` or `left - right`, in SET alone."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Action:
    """One change: `section` is SET, REMOVE, ADD or DELETE; REMOVE has no value."""

    section: str
    path: Path
    value: Operand | Arithmetic | None


@dataclass(frozen=True, slots=True)
class Expression(Generic[Tree]):
    """A parsed expression: what it is called in errors, its tree, and the placeholders it uses."""

    kind: str
    tree: Tree
    names: frozenset[str]
    values: frozenset[str]
