"""Telling an operator that the catalog's prices are old: a log line, and a metric while they are."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime

from ownkey.catalog import Catalog
from ownkey.runtime.metrics import metric

logger = logging.getLogger(__name__)


def warn_of_stale_prices(catalog: Catalog, function_name: str, today: date | None = None) -> None:
    """Warns where the prices are too old to be relied on; silent else.

    Args:
        function_name: Whose log it is: the metric's dimension.
        today: None: by the clock, in UTC.
    """
    today = today or datetime.now(UTC).date()
    if catalog.is_stale(today):
        days = (today - catalog.as_of).days
        told = {"catalog_version": catalog.version, **metric("CatalogAgeDays", days, FunctionName=function_name)}
        logger.warning("the catalog's prices are old: deploy a newer version", extra=told)
