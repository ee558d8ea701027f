"""The grammar of DynamoDB's expressions: text in, a tree out. Trees are cached by text and hold no values.

```
condition := conjunction ("OR" conjunction)*        conjunction := negation ("AND" negation)*
negation  := ["NOT"] primary
primary   := "(" condition ")" | function | operand comparator operand
           | operand "BETWEEN" operand "AND" operand | operand "IN" "(" operand, ... ")"
operand   := path | :value | size(path)
update    := section+     section := "SET" path "=" term [("+"|"-") term], ... | "REMOVE" path, ...
                                   | "ADD" path :value, ... | "DELETE" path :value, ...
term      := path | :value | if_not_exists(path, term) | list_append(term, term)
path      := element ("." element | "[" index "]")*     element := name | #name
```

Parentheses around a mere operand, which DynamoDB tolerates, are a syntax error here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, NoReturn, TypeVar

from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

from local.aws.call import validation
from local.aws.dynamodb.tree import (
    Action,
    Arithmetic,
    Between,
    Comparison,
    Condition,
    Expression,
    Function,
    Junction,
    Membership,
    Negation,
    Operand,
    Path,
    Ref,
)

Parsed = TypeVar("Parsed")
_RESERVED = frozenset(ReservedKeywords.get_reserved_keywords())
_COMPARATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_CONDITION_FUNCTIONS = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
}
_OPERAND_FUNCTIONS = {"size": 1}
_UPDATE_FUNCTIONS = {"if_not_exists": 2, "list_append": 2}
_NEEDS_PATH = frozenset({"attribute_exists", "attribute_not_exists", "size", "if_not_exists"})
_SECTIONS = ("SET", "REMOVE", "ADD", "DELETE")

_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<name>#[A-Za-z0-9_]+)|(?P<value>:[A-Za-z0-9_]+)"
    r"|(?P<number>\d+)|(?P<symbol><>|<=|>=|.))",
    re.DOTALL,
)


@lru_cache(maxsize=4096)
def parse_condition(kind: str, text: str) -> Expression[Condition]:
    """Parses a condition, filter or key condition; `kind` is the request's name for it.

    Raises:
        AwsError: ValidationException, with DynamoDB's message.
    """
    return _Parser(kind, text).whole(_Parser.condition)


@lru_cache(maxsize=4096)
def parse_update(text: str) -> Expression[tuple[Action, ...]]:
    """Parses an update expression; raises as `parse_condition`."""
    return _Parser("UpdateExpression", text).whole(_Parser.update)


@lru_cache(maxsize=4096)
def parse_projection(text: str) -> Expression[tuple[Path, ...]]:
    """Parses a projection expression; raises as `parse_condition`."""
    return _Parser("ProjectionExpression", text).whole(_Parser.paths)


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, kind: str, text: str) -> None:
        self._kind = kind
        self._text = text
        if not text:
            raise self._error("The expression can not be empty;")
        self._tokens = [
            _Token(match.lastgroup or "", match[match.lastgroup or 0], match.start(match.lastgroup or 0), match.end())
            for match in _TOKEN.finditer(text.rstrip())
        ]
        self._tokens.append(_Token("end", "<EOF>", len(text), len(text)))
        self._at = 0
        self._names: set[str] = set()
        self._values: set[str] = set()
        self._wrapped: Condition | None = None

    def whole(self, rule: Callable[[_Parser], Parsed]) -> Expression[Parsed]:
        tree = rule(self)
        if self._peek().kind != "end":
            self._fail()
        return Expression(self._kind, tree, frozenset(self._names), frozenset(self._values))

    # -------------------------------------------------------------- conditions
    def condition(self) -> Condition:
        return self._joined("OR", self._conjunction)

    def _conjunction(self) -> Condition:
        return self._joined("AND", self._negation)

    def _joined(self, operator: str, part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._take_word(operator):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction(operator, tuple(parts))

    def _negation(self) -> Condition:
        return Negation(self._primary()) if self._take_word("NOT") else self._primary()

    def _primary(self) -> Condition:
        if self._take("("):
            inner = self.condition()
            self._expect(")")
            if inner is self._wrapped:
                raise self._error("The expression has redundant parentheses;")
            self._wrapped = inner
            return inner
        left = self._operand(_CONDITION_FUNCTIONS | _OPERAND_FUNCTIONS)
        if isinstance(left, Function) and left.name in _CONDITION_FUNCTIONS:
            return left
        return self._comparison(left)

    def _comparison(self, left: Operand) -> Condition:
        if self._take_word("BETWEEN"):
            low = self._operand(_OPERAND_FUNCTIONS)
            if not self._take_word("AND"):
                self._fail()
            return Between(left, low, self._operand(_OPERAND_FUNCTIONS))
        if self._take_word("IN"):
            self._expect("(")
            options = self._list(lambda: self._operand(_OPERAND_FUNCTIONS))
            self._expect(")")
            return Membership(left, options)
        operator = self._peek().text
        if operator not in _COMPARATORS:
            self._fail()
        self._at += 1
        right = self._operand(_OPERAND_FUNCTIONS)
        if left == right:
            raise self._error(
                "The first operand must be distinct from the remaining operands for this operator or function; "
                f"operator: {operator}, first operand: {self._described(left)}"
            )
        return Comparison(operator, left, right)

    def _operand(self, functions: dict[str, int]) -> Operand:
        token = self._peek()
        if token.kind == "value":
            return self._ref()
        if token.kind == "word" and self._tokens[self._at + 1].text == "(":
            return self._function(functions)
        return self.path()

    def _function(self, allowed: dict[str, int]) -> Function:
        name = self._peek().text
        if name not in allowed:
            known = name in {**_CONDITION_FUNCTIONS, **_OPERAND_FUNCTIONS} and self._kind != "UpdateExpression"
            raise self._error(
                f"The function is not allowed to be used this way in an expression; function: {name}"
                if known
                else f"Invalid function name; function: {name}"
            )
        self._at += 2
        nested = _UPDATE_FUNCTIONS if self._kind == "UpdateExpression" else _OPERAND_FUNCTIONS
        arguments = self._list(lambda: self._operand(nested))
        self._expect(")")
        if len(arguments) != allowed[name]:
            raise self._error(
                "Incorrect number of operands for operator or function; "
                f"operator or function: {name}, number of operands: {len(arguments)}"
            )
        if name in _NEEDS_PATH and not isinstance(arguments[0], Path):
            raise self._error(f"Operator or function requires a document path; operator or function: {name}")
        return Function(name, arguments)

    # -------------------------------------------------------------- updates
    def update(self) -> tuple[Action, ...]:
        actions: list[Action] = []
        seen: set[str] = set()
        while (section := self._peek().text.upper()) in _SECTIONS:
            if section in seen:
                raise self._error(f'The "{section}" section can only be used once in an update expression;')
            seen.add(section)
            self._at += 1
            actions += self._list(lambda: self._action(section))
        if not actions:
            self._fail()
        return tuple(actions)

    def _action(self, section: str) -> Action:
        path = self.path()
        if section == "REMOVE":
            return Action(section, path, None)
        if section == "SET":
            self._expect("=")
            return Action(section, path, self._term())
        if self._peek().kind != "value":
            self._fail()
        return Action(section, path, self._ref())

    def _term(self) -> Operand | Arithmetic:
        left = self._operand(_UPDATE_FUNCTIONS)
        if (operator := self._peek().text) not in ("+", "-"):
            return left
        self._at += 1
        return Arithmetic(operator, left, self._operand(_UPDATE_FUNCTIONS))

    # -------------------------------------------------------------- paths
    def paths(self) -> tuple[Path, ...]:
        return self._list(self.path)

    def path(self) -> Path:
        elements: list[str | int] = [self._element()]
        while True:
            if self._take("."):
                elements.append(self._element())
            elif self._take("["):
                if self._peek().kind != "number":
                    self._fail()
                elements.append(int(self._next().text))
                self._expect("]")
            else:
                return Path(tuple(elements))

    def _element(self) -> str:
        token = self._peek()
        if token.kind not in ("word", "name"):
            self._fail()
        self._at += 1
        if token.kind == "name":
            self._names.add(token.text)
        elif token.text.upper() in _RESERVED:
            raise self._error(f"Attribute name is a reserved keyword; reserved keyword: {token.text}")
        return token.text

    def _ref(self) -> Ref:
        name = self._next().text
        self._values.add(name)
        return Ref(name)

    # -------------------------------------------------------------- tokens
    def _list(self, part: Callable[[], Parsed]) -> tuple[Parsed, ...]:
        parts = [part()]
        while self._take(","):
            parts.append(part())
        return tuple(parts)

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, symbol: str) -> bool:
        found = self._peek().kind == "symbol" and self._peek().text == symbol
        self._at += found
        return found

    def _take_word(self, word: str) -> bool:
        found = self._peek().kind == "word" and self._peek().text.upper() == word
        self._at += found
        return found

    def _expect(self, symbol: str) -> None:
        if not self._take(symbol):
            self._fail()

    def _fail(self) -> NoReturn:
        """A syntax error at the token in hand, in DynamoDB's words."""
        first = self._tokens[max(self._at - 1, 0)]
        last = self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        near = self._text[first.start : last.end]
        raise self._error(f'Syntax error; token: "{self._peek().text}", near: "{near}"')

    def _error(self, message: str) -> Exception:
        return validation(f"Invalid {self._kind}: {message}")

    def _described(self, operand: Operand) -> str:
        if isinstance(operand, Path):
            return "[" + ", ".join(str(element) for element in operand.elements) + "]"
        return operand.name
