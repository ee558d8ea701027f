"""`python -m tools.replay --bucket B --function F` counts failed batches again; docs/ledger.md says when."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import boto3

from tools.replay.batches import UnreadableBatchError
from tools.replay.replay import Replay


def main(arguments: Sequence[str]) -> int:
    """0: everything asked for is counted (or was only listed); 1: something is not."""
    parser = argparse.ArgumentParser(prog="python -m tools.replay", description=__doc__)
    parser.add_argument("--bucket", required=True, help="the stack's output FailedBatchesBucketName")
    parser.add_argument("--function", required=True, help="billing's name or ARN")
    parser.add_argument("--prefix", default="", help="only objects whose names begin so")
    parser.add_argument("--list", action="store_true", help="say what is there, and why; count nothing")
    parser.add_argument("--delete", action="store_true", help="remove an object when all of it is counted")
    parser.add_argument("--s3-endpoint", help="another S3 than AWS's, such as the local stack's")
    parser.add_argument("--lambda-endpoint", help="another Lambda than AWS's")
    options = parser.parse_args(arguments)
    replay = Replay(
        boto3.client("s3", endpoint_url=options.s3_endpoint),
        boto3.client("lambda", endpoint_url=options.lambda_endpoint),
        bucket=options.bucket,
        function=options.function,
    )
    keys = list(replay.keys(options.prefix))
    if options.list:
        for key in keys:
            print(_listed(replay, key))
        return 0
    left = 0
    for key in keys:
        replayed = replay.run(key, delete=options.delete)
        left += not replayed.done
        state = "counted" if replayed.done else replayed.error or f"cannot count {', '.join(replayed.failed)}"
        print(f"{key}: {replayed.records} records: {state}")
    print(f"{len(keys)} batches, {left} not counted")
    return 1 if left else 0


def _listed(replay: Replay, key: str) -> str:
    try:
        batch = replay.read(key)
    except UnreadableBatchError as e:
        return str(e)
    return f"{key}: {len(batch.records)} records, {batch.reason}, {batch.failed_at}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
