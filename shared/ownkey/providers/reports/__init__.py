"""Providers' own reports of what was used and charged: requests and answers, without any I/O.

======== ==========================================================================================
`report` the seam: `Period`, `Question`, `Answered`, the `Report` protocol
`openai` organization usage and costs, with an admin key
`anthropic` usage and cost reports, with an admin key
`cost_explorer` AWS's bill, by signed requests
======== ==========================================================================================

A further provider is a module here, an entry below, and a `report` in its row of providers.toml.
"""

from collections.abc import Mapping

from ownkey.providers.reports.anthropic import AnthropicReport
from ownkey.providers.reports.cost_explorer import CostExplorerReport
from ownkey.providers.reports.openai import OpenAiReport
from ownkey.providers.reports.report import Answered, Period, Place, Question, Report, UnreadableReport

REPORTS: Mapping[str, Report] = {
    "openai": OpenAiReport(),
    "anthropic": AnthropicReport(),
    "cost_explorer": CostExplorerReport(),
}


def report_of(api: str) -> Report:
    """The report that a row of the catalog names.

    Raises:
        KeyError: there is none.
    """
    return REPORTS[api]


__all__ = ["REPORTS", "Answered", "Period", "Place", "Question", "Report", "UnreadableReport", "report_of"]
