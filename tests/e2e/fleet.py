"""Eight warm environments of the inference function, and requests that keep all of them busy at once."""

from __future__ import annotations

import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from ownkey.store import keys
from tests.e2e.accounts import Account, said
from tests.e2e.stage import WAIT_S
from tests.e2e.world import World

ENVIRONMENTS = 8


class Fleet(World):
    """A stack whose inference function has eight environments."""

    def __init__(self, log_directory: Path) -> None:
        super().__init__(log_directory, warm={"InferenceFunction": ENVIRONMENTS}, concurrency=ENVIRONMENTS)

    def at_once(
        self, account: Account, requests: int = ENVIRONMENTS, model: str = "gpt-4o-mini", busy_ms: int = 120
    ) -> list[httpx.Response]:
        """So many requests, eight at a time; the provider takes its time, so that none waits for another's turn."""
        body = {"model": model, "messages": said(f"[[sim: header_ms={busy_ms}]] hello")}
        with ThreadPoolExecutor(ENVIRONMENTS) as pool:
            return list(pool.map(lambda _: account.post("/v1/chat/completions", body), range(requests)))

    def served(self, account: Account, requests: int = ENVIRONMENTS, model: str = "gpt-4o-mini") -> Counter[str]:
        """The aliases that served so many requests, each by its only attempt."""
        answers = self.at_once(account, requests, model)
        assert [each.status_code for each in answers] == [200] * requests, answers[0].text
        assert {each.headers["x-ownkey-attempts"] for each in answers} == {"1"}
        return Counter(each.headers["x-ownkey-credential"] for each in answers)

    def environments_used(self) -> int:
        """How many environments have served so far."""
        return len(set(re.findall(r"(InferenceFunction-\d+)\W+START", self.up.stack.log("InferenceFunction"))))

    def marks(self, account: Account) -> dict[str, dict[str, str]]:
        """The account's marks as they stand in the table: their attributes by key, as text."""
        for item in self.partition("HealthTable", keys.health(account.id)):
            if item["sk"]["S"] != keys.HEALTH:
                continue
            found = {key: value["M"] for key, value in item.items() if key not in ("pk", "sk")}
            return {key: {n: next(iter(v.values())) for n, v in mark.items()} for key, mark in found.items()}
        return {}

    def marked(self, account: Account, **states: str) -> None:
        """Waits until exactly these states stand there, however often each: a mark is written beside the answer."""
        give_up = time.monotonic() + WAIT_S
        while (found := sorted(mark["state"] for mark in self.marks(account).values())) != sorted(states.values()):
            assert time.monotonic() < give_up, f"still {found}"
            time.sleep(0.02)

    def end(self, account: Account) -> None:
        """Lets the time of every mark that ends by itself be over."""
        table = self.up.stack.resources["HealthTable"]
        at = {"pk": {"S": f"HEALTH#{account.id}"}, "sk": {"S": "HEALTH"}}
        for key, mark in self.marks(account).items():
            if "until_ms" in mark:
                self.dynamodb().update_item(
                    TableName=table,
                    Key=at,
                    UpdateExpression="SET #key.until_ms = :now",
                    ExpressionAttributeNames={"#key": key},
                    ExpressionAttributeValues={":now": {"N": str(int(time.time() * 1000))}},
                )
