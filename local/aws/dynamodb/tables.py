"""Where items are kept: partitions in sort order, secondary indexes, and the table around them.

moto holds what a table *is* (its schema, indexes, stream and TTL settings); the items are here. Reads cost what they
touch: a lookup in a partition and a walk from there, however many rows the table has.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.dynamodb.models.table import SecondaryIndex
from moto.dynamodb.models.table import Table as Definition

from local.aws.call import AwsError, validation
from local.aws.dynamodb.streams import Stream
from local.aws.dynamodb.values import Item, Value, canonical_item, sortable

_INVALID = "One or more parameter values were invalid: "
_KEY_MISMATCH = "The provided key element does not match the schema"
_EMPTY_KEY = (
    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an "
    "empty {} value. Key: {}"
)
_MAX_KEY_BYTES = (2048, 1024)

SortKey = tuple[Any, ...]


@dataclass(slots=True)
class Partition:
    """The items of one hash key: `keys` in order, `items` by key."""

    keys: list[SortKey] = field(default_factory=list)
    items: dict[SortKey, Item] = field(default_factory=dict)


class Collection:
    """Items by a hash attribute, in the order of their sort attributes: a table, or one of its indexes.

    An index's sort attributes end with the table's own key, which makes them unique. Items that lack an attribute of
    the key are not in the index. The order of partitions is that of a digest, as arbitrary as DynamoDB's own.
    """

    def __init__(self, hash_name: str, sort_names: Iterable[str]) -> None:
        self.hash_name = hash_name
        self.sort_names = tuple(sort_names)
        self._partitions: dict[Any, Partition] = {}
        self._order: list[tuple[bytes, Any]] = []

    def place(self, item: Item) -> tuple[Any, SortKey] | None:
        """The hash value and sort key of an item or a key, None where it lacks an attribute of them."""
        try:
            return sortable(item[self.hash_name]), tuple(sortable(item[name]) for name in self.sort_names)
        except KeyError:
            return None

    def get(self, key: Item) -> Item | None:
        """The item with the same key attributes as `key`, which has them all."""
        place = self.place(key)
        partition = self._partitions.get(place[0]) if place else None
        return partition.items.get(place[1]) if partition and place else None

    def put(self, item: Item) -> None:
        """Adds an item, or replaces the one with its key."""
        if (place := self.place(item)) is None:
            return
        hash_value, sort_key = place
        partition = self._partitions.get(hash_value)
        if partition is None:
            partition = self._partitions[hash_value] = Partition()
            insort(self._order, (_digest(hash_value), hash_value))
        if sort_key not in partition.items:
            insort(partition.keys, sort_key)
        partition.items[sort_key] = item

    def discard(self, item: Item) -> None:
        """Takes the item with this key out."""
        if (place := self.place(item)) is None:
            return
        hash_value, sort_key = place
        partition = self._partitions[hash_value]
        del partition.items[sort_key]
        del partition.keys[bisect_left(partition.keys, sort_key)]
        if not partition.keys:
            del self._partitions[hash_value]
            del self._order[bisect_left(self._order, (_digest(hash_value), hash_value))]

    def query(self, hash_value: Any, bounds: Bounds, after: Item | None, forward: bool) -> Iterator[Item]:
        """The items of one partition within the bounds, from behind the key `after`, in either direction."""
        partition = self._partitions.get(hash_value)
        if partition is None:
            return
        start, end = bounds.of(partition.keys)
        if after is not None and (place := self.place(after)) is not None:
            if forward:
                start = max(start, bisect_right(partition.keys, place[1]))
            else:
                end = min(end, bisect_left(partition.keys, place[1]))
        for at in range(start, end) if forward else range(end - 1, start - 1, -1):
            yield partition.items[partition.keys[at]]

    def scan(self, after: Item | None = None, segment: int = 0, segments: int = 1) -> Iterator[Item]:
        """All items from behind the key `after`, or those of one segment of several."""
        start = 0
        if after is not None and (place := self.place(after)) is not None:
            yield from self.query(place[0], Bounds(), after, forward=True)
            start = bisect_right(self._order, (_digest(place[0]), place[0]))
        for digest, hash_value in self._order[start:]:
            if int.from_bytes(digest, "big") * segments >> 64 == segment:
                yield from self.query(hash_value, Bounds(), None, forward=True)


def _digest(hash_value: Any) -> bytes:
    return hashlib.blake2b(repr(hash_value).encode(), digest_size=8).digest()


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of the first sort attribute, inclusive unless said; `prefix` for strings and binaries."""

    low: Any = None
    high: Any = None
    low_open: bool = False
    high_open: bool = False
    prefix: Any = None

    def of(self, keys: list[SortKey]) -> tuple[int, int]:
        """The half-open range of positions in `keys` that lies within."""
        if self.prefix is not None:
            length = len(self.prefix)
            return (
                bisect_left(keys, self.prefix, key=lambda key: key[0][:length]),
                bisect_right(keys, self.prefix, key=lambda key: key[0][:length]),
            )
        start, end = 0, len(keys)
        if self.low is not None:
            start = (bisect_right if self.low_open else bisect_left)(keys, self.low, key=lambda key: key[0])
        if self.high is not None:
            end = (bisect_left if self.high_open else bisect_right)(keys, self.high, key=lambda key: key[0])
        return start, end


class Table:
    """One table's items, indexes and stream."""

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.name: str = definition.name
        self.arn: str = definition.table_arn
        self.key_names: tuple[str, ...] = tuple(definition.table_key_attrs)
        self.items = Collection(self.key_names[0], self.key_names[1:])
        self._indexes: dict[str, tuple[SecondaryIndex, Collection]] = {}
        self._stream: Stream | None = None

    @property
    def stream(self) -> Stream | None:
        """The stream that is switched on now, or None."""
        specification = self.definition.stream_specification
        if not (specification and specification.get("StreamEnabled")):
            return None
        label, shard = self.definition.latest_stream_label, self.definition.stream_shard
        if label and shard and (self._stream is None or self._stream.label != label):
            self._stream = Stream(
                arn=f"{self.arn}/stream/{label}",
                label=label,
                view=specification["StreamViewType"],
                region=self.definition.region_name,
                first_sequence_number=shard.starting_sequence_number,
                shard_id=shard.id,
            )
        return self._stream

    def index(self, name: str) -> tuple[SecondaryIndex, Collection]:
        """A secondary index, built when it is first asked for.

        Raises:
            AwsError: ValidationException where there is none of that name.
        """
        definition = next((each for each in self.definition.all_indexes() if each.name == name), None)
        if definition is None:
            raise validation(f"The table does not have the specified index: {name}")
        if name not in self._indexes or self._indexes[name][0] is not definition:
            keys = [each["AttributeName"] for each in definition.schema]
            built = Collection(keys[0], (*keys[1:], *self.key_names))
            for item in self.items.scan():
                built.put(item)
            self._indexes[name] = definition, built
        return self._indexes[name]

    def clear(self) -> None:
        """Forgets every item, and what the stream has of them."""
        self.items = Collection(self.key_names[0], self.key_names[1:])
        self._indexes.clear()
        self._stream = None

    def replace(self, old: Item | None, new: Item | None) -> None:
        """Puts `new` in the place of `old`; None for what is not there before, or not after."""
        for collection in (self.items, *(built for _, built in self._indexes.values())):
            if old is not None and (new is None or collection.place(old) != collection.place(new)):
                collection.discard(old)
            if new is not None:
                collection.put(new)

    # -------------------------------------------------------------- keys
    def read_key(self, key: Any) -> Item:
        """A request's Key, checked and canonical.

        Raises:
            AwsError: ValidationException.
        """
        key = canonical_item(key)
        if key.keys() != set(self.key_names) or any(self.types[name] not in key[name] for name in self.key_names):
            raise validation(_KEY_MISMATCH)
        self._check_key_sizes(key)
        return {name: key[name] for name in self.key_names}

    def key_of(self, item: Item) -> Item:
        """An item's key, checked for a write.

        Raises:
            AwsError: ValidationException.
        """
        for name in self.key_names:
            if name not in item:
                raise validation(f"{_INVALID}Missing the key {name} in the item")
            self._require_type(name, item[name], f"Type mismatch for key {name} expected: {{}} actual: {{}}")
        self._check_key_sizes(item)
        return {name: item[name] for name in self.key_names}

    def check_index_keys(self, item: Item) -> None:
        """Refuses an item whose attribute for an index's key has another type, or is empty."""
        for index in self.definition.all_indexes():
            for name in (each["AttributeName"] for each in index.schema):
                if name in item and name not in self.key_names:
                    mismatch = f"Type mismatch for Index Key {name} Expected: {{}} Actual: {{}} IndexName: {index.name}"
                    self._require_type(name, item[name], mismatch)
                    self._refuse_empty(name, item[name])

    @property
    def types(self) -> dict[str, str]:
        """The types of all key attributes, the indexes' too, by name."""
        return {each["AttributeName"]: each["AttributeType"] for each in self.definition.attr}

    def _require_type(self, name: str, value: Value, message: str) -> None:
        expected = self.types[name]
        (actual,) = value
        if actual != expected:
            raise validation(_INVALID + message.format(expected, actual))

    def _check_key_sizes(self, item: Item) -> None:
        for name, limit, what in zip(self.key_names, _MAX_KEY_BYTES, ("hashkey", "range keys"), strict=False):
            self._refuse_empty(name, item[name])
            ((kind, content),) = item[name].items()
            if kind == "S" and len(content.encode()) > limit:
                raise validation(f"{_INVALID}Size of {what} has exceeded the maximum size limit of {limit} bytes")

    def _refuse_empty(self, name: str, value: Value) -> None:
        for kind, what in (("S", "string"), ("B", "binary")):
            if value.get(kind) == "":
                raise validation(_EMPTY_KEY.format(what, name))


FindTable = Callable[[Any], Table]
"""From a request's TableName (a name or an ARN) to its table; raises ResourceNotFoundException."""


def not_found(message: str = "Requested resource not found") -> AwsError:
    """The error for a table or stream that does not exist."""
    return AwsError("ResourceNotFoundException", message)
