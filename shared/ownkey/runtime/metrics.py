"""Metrics of our own by CloudWatch's embedded metric format: members of a log line, which it takes for a metric.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html.
No call and no right beyond the log's; nothing is paid for a metric while it is not written.
"""

from __future__ import annotations

import time
from typing import Any

NAMESPACE = "Ownkey"


def metric(name: str, value: int, **dimensions: str) -> dict[str, Any]:
    """What stands in a log line's `extra` for one count; the dimensions tell one deployment from another."""
    described = {
        "Namespace": NAMESPACE,
        "Dimensions": [sorted(dimensions)],
        "Metrics": [{"Name": name, "Unit": "Count"}],
    }
    stamp = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [described]}
    return {"_aws": stamp, name: value, **dimensions}
