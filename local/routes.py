"""Finding the route of a request, as API Gateway does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from local.deployment import Route


@dataclass(slots=True)
class _Node:
    """A place in the tree of resources. `wildcard` is `{name}`, `greedy` is `{name+}`."""

    methods: dict[str, Route] = field(default_factory=dict)
    fixed: dict[str, _Node] = field(default_factory=dict)
    wildcard: tuple[str, _Node] | None = None
    greedy: tuple[str, _Node] | None = None


class Router:
    """The resources of an API. Of those that match a path the most specific one is taken: fixed, then `{x}`, `{x+}`."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            node = self._root
            for segment in _segments(route.path):
                node = _child(node, segment)
            node.methods[route.method] = route

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route and its path parameters, decoded; None where API Gateway has no such method."""
        found = _walk(self._root, _segments(path), {})
        if found is None:
            return None
        methods, parameters = found
        route = methods.get(method) or methods.get("ANY")
        return (route, parameters) if route else None


def _segments(path: str) -> list[str]:
    # A slash at the end makes no difference.
    return path.strip("/").split("/") if path.strip("/") else []


def _child(node: _Node, segment: str) -> _Node:
    if not segment.startswith("{"):
        return node.fixed.setdefault(segment, _Node())
    name = segment.strip("{}")
    if name.endswith("+"):
        node.greedy = node.greedy or (name[:-1], _Node())
        return node.greedy[1]
    node.wildcard = node.wildcard or (name, _Node())
    return node.wildcard[1]


def _walk(
    node: _Node, segments: list[str], parameters: Mapping[str, str]
) -> tuple[Mapping[str, Route], dict[str, str]] | None:
    if not segments:
        return (node.methods, dict(parameters)) if node.methods else None
    head, rest = segments[0], segments[1:]
    if head in node.fixed:
        found = _walk(node.fixed[head], rest, parameters)
        if found:
            return found
    if node.wildcard:
        name, child = node.wildcard
        found = _walk(child, rest, {**parameters, name: unquote(head)})
        if found:
            return found
    if node.greedy:
        name, child = node.greedy
        return child.methods, {**parameters, name: unquote("/".join(segments))}
    return None
