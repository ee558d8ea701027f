"""Telling others: events on the account's default bus, for rules that people set up."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ownkey.domain.errors import StoreUnavailable
from ownkey.store.aws import AwsClient, AwsError

SOURCE = "ownkey"


class Events:
    """Puts events, each by itself."""

    def __init__(self, aws: AwsClient) -> None:
        self._aws = aws

    async def put(self, detail_type: str, detail: Mapping[str, object]) -> None:
        """One event; the detail holds no secret.

        Raises:
            StoreUnavailable: EventBridge refuses it, or does not answer.
        """
        entry = {"Source": SOURCE, "DetailType": detail_type, "Detail": json.dumps(detail), "EventBusName": "default"}
        try:
            answer = await self._aws.call_json(
                "events", "AWSEvents.PutEvents", {"Entries": [entry]}, json_version="1.1"
            )
        except AwsError as e:
            raise StoreUnavailable(f"EventBridge refused ({e.code}).") from e
        if answer.get("FailedEntryCount"):
            raise StoreUnavailable("EventBridge did not take the event.")
