"""`python -m tools.verify --stack NAME` counts the books again and names every difference (docs/ledger.md)."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from ownkey.catalog import Catalog
from ownkey.store.aws import AwsClient
from tools.verify.command import Command
from tools.verify.stack import Account, Stack, now, resources_in, resources_of


def main(arguments: Sequence[str]) -> int:
    """0: everything is right, or what was asked for is under way; 1: something is not."""
    options = _parser().parse_args(arguments)
    environ = dict(os.environ)
    for service in ("dynamodb", "lambda"):
        if endpoint := getattr(options, f"{service}_endpoint"):
            environ[f"AWS_ENDPOINT_URL_{service.upper()}"] = endpoint
    resources = resources_in(options.resources) if options.resources else resources_of(options.stack)
    return asyncio.run(_run(options, resources, environ))


async def _run(options: argparse.Namespace, resources: dict[str, str], environ: dict[str, str]) -> int:
    aws = AwsClient(environ=environ)
    try:
        stack = Stack(resources, aws)
        catalog = Catalog.load()
        command = Command(stack, catalog, options.month, f"tools.verify by {getpass.getuser()}", now)
        accounts = [each for each in await stack.accounts() if options.account in (None, each.id)]
        if options.account and not accounts:
            print(f"there is no account {options.account}", file=sys.stderr)
            return 1
        work = _work(options, command, catalog)
        wrong = sum([await work(each) for each in accounts])
    finally:
        await aws.close()
    print(f"{len(accounts)} accounts, {wrong} not right")
    return 1 if wrong else 0


def _work(options: argparse.Namespace, command: Command, catalog: Catalog) -> Callable[[Account], Awaitable[int]]:
    if options.reprice:
        other = Catalog(catalog.providers, json.loads(options.reprice.read_text()))
        return lambda account: command.reprice(account, other, apply=options.apply)
    if options.correct_balance:
        return lambda account: command.correct_balance(account, options.reason)
    return lambda account: command.verify(account, repair=options.repair)


class _Parser(argparse.ArgumentParser):
    """What argparse cannot say by itself."""

    def parse_args(self, *args: object, **kwargs: object) -> argparse.Namespace:  # type: ignore[override]
        """Options that belong together."""
        options = super().parse_args(*args, **kwargs)  # type: ignore[call-overload]
        if options.correct_balance and not (options.account and options.reason):
            self.error("a correction is of one --account, for a --reason")
        if options.apply and not options.reprice:
            self.error("--apply is of --reprice")
        return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m tools.verify", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stack", help="the CloudFormation stack's name")
    where.add_argument("--resources", type=Path, help="JSON of physical names by logical id, in the place of --stack")
    parser.add_argument("--account", help="one account; otherwise all")
    parser.add_argument("--month", type=_month, help="what is booked in one month (2026-11); otherwise everything")
    does = parser.add_mutually_exclusive_group()
    does.add_argument("--repair", action="store_true", help="have billing rebuild rows of usage, movements and limits")
    does.add_argument("--reprice", type=Path, metavar="CATALOG", help="a models.json: what its prices would have made")
    does.add_argument("--correct-balance", action="store_true", help="post what the balance has and the ledger lacks")
    parser.add_argument("--apply", action="store_true", help="with --reprice: correct what was charged")
    parser.add_argument("--reason", help="of --correct-balance, for the ledger's readers")
    parser.add_argument("--dynamodb-endpoint", help="another DynamoDB than AWS's, such as the local stack's")
    parser.add_argument("--lambda-endpoint", help="another Lambda than AWS's")
    return parser


def _month(text: str) -> str:
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text):
        raise ValueError("no month")
    return text


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
