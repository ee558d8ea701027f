"""What happens to a call: counted, authorized, perhaps struck by a fault, and answered by whoever serves it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from local.aws.call import Answer, AwsError, Call, error_answer, identify, json_answer, query_answer
from local.aws.calls import CallCounter
from local.aws.dynamodb.service import DynamoDb
from local.aws.faults import Faults, hold_back, internal_error, refusal
from local.aws.kms import Kms
from local.aws.moto_app import Moto
from local.aws.permissions import Permissions
from local.aws.policies import IdentityPolicies
from local.aws.sts import Sts

_log = logging.getLogger(__name__)

_ONE_AT_A_TIME = threading.Lock()
"""moto's state is the process's, so its lock is too: one call at a time, whichever server it came through."""

_SIGNED_ONLY = frozenset({"dynamodb", "dynamodbstreams", "kms", "sts"})
_FORBIDS_BY_403 = frozenset({"s3", "sts"})


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `raw_path` is as sent, with its query."""

    method: str
    raw_path: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    header_list: Iterable[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer and how it is to be delivered: after a delay, and None where it never arrives.

    `breaks` says whether the connection breaks at once, or is left hanging.
    """

    answer: Answer | None
    delay_s: float = 0.0
    breaks: bool = False


class Gate:
    """Every call's way through; the state that tests and the local stack steer is public."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.counter = CallCounter()
        self.faults = Faults()
        self.policies = IdentityPolicies()
        self.dynamodb = DynamoDb(clock)
        self.sts = Sts(clock)
        self._kms = Kms()
        self._moto = Moto()
        self._permissions = Permissions(self.dynamodb, self._kms)

    def handle(self, request: Request) -> Outcome:
        """Answers one request; never raises."""
        with _ONE_AT_A_TIME:
            try:
                call = identify(request.method, request.path, request.query, request.headers, request.body)
            except AwsError as e:
                return Outcome(error_answer("dynamodb", e))
            try:
                return self._pass(call, request)
            except AwsError as e:
                return Outcome(error_answer(call.service, e))
            except Exception as e:  # noqa: BLE001 - a defect here must look like AWS failing, and be seen
                _log.exception("%s %s failed", call.service, call.operation)
                return Outcome(error_answer(call.service, AwsError("InternalFailure", repr(e), status=500)))

    def sweep_expired(self, now_s: float | None) -> dict[str, int]:
        """Deletes the items whose TTL has passed; how many, by table."""
        with _ONE_AT_A_TIME:
            return self.dynamodb.sweep_expired(now_s)

    def clear(self, tables: Iterable[str]) -> None:
        """Empties these tables."""
        with _ONE_AT_A_TIME:
            self.dynamodb.clear(tables)

    def _pass(self, call: Call, request: Request) -> Outcome:
        self.counter.note(call)
        self._authorize(call)
        rule = self.faults.strike(call)
        if rule is None:
            return Outcome(self._serve(call, request))
        if rule.kind == "timeout":
            return Outcome(None)
        if error := refusal(rule, call):
            raise error
        if rule.kind == "unprocessed":
            fewer, left = hold_back(call)
            payload = self.dynamodb.call(replace(call, params=fewer))
            return Outcome(json_answer(call.service, {**payload, **left}))
        answer = self._serve(call, request)
        if rule.kind == "applied_then_lost":
            return Outcome(None, breaks=True)
        if rule.kind == "applied_then_error":
            raise internal_error()
        return Outcome(answer, delay_s=rule.latency_ms / 1000)

    def _authorize(self, call: Call) -> None:
        forbidden = 403 if call.service in _FORBIDS_BY_403 else 400
        if call.access_key is None and call.service in _SIGNED_ONLY:
            message = "Request is missing Authentication Token"
            raise AwsError("MissingAuthenticationTokenException", message, status=forbidden)
        if not self.policies.restricts(call.access_key):
            return
        if why := self.policies.refusal(call.access_key, self._permissions.needed(call)):
            raise AwsError("AccessDeniedException", why, status=forbidden)

    def _serve(self, call: Call, request: Request) -> Answer:
        if call.service == "sts" and self.sts.serves(call.operation):
            return query_answer(call.operation, self.sts.call(call))
        payload: Mapping[str, Any] | None = None
        if call.service.startswith("dynamodb") and self.dynamodb.serves(call.operation):
            payload = self.dynamodb.call(call)
        elif call.service == "kms" and self._kms.serves(call.operation):
            payload = self._kms.call(call)
        if payload is not None:
            return json_answer(call.service, payload)
        return self._moto.answer(call, request.method, request.raw_path, request.header_list, request.body)
