"""The FOCUS file against the columns of FOCUS 1.2: which there must be, of which type, with which values, null or not.

From https://focus.finops.org/focus-specification/v1-2/ and the text it is made of, `specification/columns` and
`specification/attributes` of github.com/FinOps-Open-Cost-and-Usage-Spec/FOCUS_Spec, read in November 2026.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import pytest

from ownkey.domain.credentials import CredentialSource
from ownkey.domain.ledger import MovementKind
from ownkey.http.management.views.tables import csv_table
from ownkey.ledger.focus import COLUMNS, Bill, month_rows, usage_rows
from ownkey.ledger.movements import Month, Moved
from ownkey.ledger.rollups import RollupRow

STRING = r"(?s).+"
DECIMAL = r"-?[0-9]+(\.[0-9]+)?"
"""NumericFormat: no exponent, no sign but a minus, no separator."""
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
"""DateTimeFormat: UTC, to the second."""
SUBCATEGORIES = ("Bots", "Generative AI", "Machine Learning", "Natural Language Processing")
"""Of `AI and Machine Learning`."""


@dataclass(frozen=True)
class Column:
    """What the specification says of one."""

    form: str
    null: bool = False
    level: str = "Mandatory"


def words(*allowed: str) -> str:
    return "|".join(map(re.escape, allowed))


SPECIFIED: Mapping[str, Column] = {
    "BilledCost": Column(DECIMAL),
    "BillingAccountId": Column(STRING),
    "BillingAccountName": Column(STRING, null=True),
    "BillingCurrency": Column(r"[A-Z]{3}"),
    "BillingPeriodEnd": Column(TIME),
    "BillingPeriodStart": Column(TIME),
    "ChargeCategory": Column(words("Usage", "Purchase", "Tax", "Credit", "Adjustment")),
    "ChargeClass": Column("Correction", null=True),
    "ChargeDescription": Column(STRING, null=True),
    "ChargePeriodEnd": Column(TIME),
    "ChargePeriodStart": Column(TIME),
    "ContractedCost": Column(DECIMAL),
    "EffectiveCost": Column(DECIMAL),
    "InvoiceIssuerName": Column(STRING),
    "ListCost": Column(DECIMAL),
    "PricingQuantity": Column(DECIMAL, null=True),
    "PricingUnit": Column(r"[A-Z][A-Za-z]*s", null=True),
    "ProviderName": Column(STRING),
    "PublisherName": Column(STRING),
    "ServiceCategory": Column(words("AI and Machine Learning")),
    "ServiceName": Column(STRING),
    "ChargeFrequency": Column(words("One-Time", "Recurring", "Usage-Based"), level="Recommended"),
    "ServiceSubcategory": Column(words(*SUBCATEGORIES), level="Recommended"),
    "ConsumedQuantity": Column(DECIMAL, null=True, level="Conditional"),
    "ConsumedUnit": Column(r"[A-Z][A-Za-z]*s", null=True, level="Conditional"),
    "SkuId": Column(STRING, null=True, level="Conditional"),
}
OF_A_USE = ("PricingQuantity", "PricingUnit", "ConsumedQuantity", "ConsumedUnit", "SkuId")
"""Null on what is no use and no purchase, and on nothing else that is no correction."""


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    """The file of a month with everything in it, as it is written."""
    bill = Bill("acct_1", "Acme", "2026-12", {"openai": "OpenAI"}.__getitem__)
    used = {
        "byok_attempts": 3,
        "platform_attempts": 2,
        "cost_byok_nanousd": 1,
        "cost_platform_nanousd": 10**12,
        "charge_nanousd": 1_050_000_000_001,
        "input": 7,
    }
    moved = Month(
        "2026-12",
        {
            MovementKind.REWARD: Moved(1, 5, 0),
            MovementKind.CORRECTION: Moved(1, -7, 0),
            MovementKind.DEPOSIT: Moved(1, 10**12, 0),
        },
        overrun_nanousd=3,
    )
    written = [*month_rows(bill, moved), *usage_rows(bill, [RollupRow("2026-12-31", "openai/gpt-5", used, "")])]
    return list(csv.DictReader(io.StringIO(csv_table(COLUMNS, written))))


def test_every_mandatory_column_is_there_and_what_is_not_the_specifications_says_so() -> None:
    assert len(set(COLUMNS)) == len(COLUMNS)
    mandatory = {name for name, column in SPECIFIED.items() if column.level == "Mandatory"}
    assert len(mandatory) == 21
    assert mandatory <= set(COLUMNS)
    own = {name for name in COLUMNS if name not in SPECIFIED}
    assert all(re.fullmatch("x_[A-Z][A-Za-z]*", name) for name in own)


@pytest.mark.parametrize("name", SPECIFIED)
def test_a_column_has_the_type_and_the_values_that_are_allowed(rows: list[dict[str, str]], name: str) -> None:
    column = SPECIFIED[name]
    for value in {row[name] for row in rows}:
        assert (column.null and value == "") or re.fullmatch(column.form, value), f"{name}: {value!r}"


def test_every_kind_of_row_is_tried(rows: list[dict[str, str]]) -> None:
    kinds = {(row["ChargeCategory"], row["ChargeClass"], row["x_Source"]) for row in rows}
    assert kinds == {
        ("Credit", "", ""),
        ("Adjustment", "Correction", ""),
        ("Adjustment", "", ""),
        *(("Usage", "", source.value) for source in CredentialSource),
    }


def test_what_is_null_goes_by_the_category(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert {row[name] != "" for name in OF_A_USE} == {row["ChargeCategory"] == "Usage"}
        if row["ChargeCategory"] == "Usage":
            assert Decimal(row["ConsumedQuantity"]) > 0


def test_a_charge_lies_in_its_billing_period(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert row["BillingPeriodStart"] == "2026-12-01T00:00:00Z" <= row["ChargePeriodStart"] < row["ChargePeriodEnd"]
        assert row["ChargePeriodEnd"] <= row["BillingPeriodEnd"] == "2027-01-01T00:00:00Z"


def test_costs_are_plain_decimals_to_the_nano_dollar(rows: list[dict[str, str]]) -> None:
    assert sorted({row["BilledCost"] for row in rows}) == [
        "-0.000000003",
        "-0.000000005",
        "0",
        "0.000000007",
        "1050.000000001",
    ]
    for row in rows:
        assert row["BilledCost"] == row["ListCost"] == row["ContractedCost"] == row["EffectiveCost"]
