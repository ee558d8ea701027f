"""Money is an integer number of nano-dollars (1 USD = 10**9 nanousd), everywhere inside.

On the wire, JSON that Ownkey defines carries dollars as decimal strings; vendor dialects that have
numbers get numbers (`usd_number`).
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

NANOUSD_PER_USD = 1_000_000_000
_MAX_NANOUSD = 10**18


def usd_string(nanousd: int) -> str:
    """Nano-dollars as a plain decimal string of dollars, exact, without an exponent.

    >>> usd_string(1_500_000), usd_string(-20), usd_string(0)
    ('0.0015', '-0.00000002', '0')
    """
    sign = "-" if nanousd < 0 else ""
    whole, rest = divmod(abs(nanousd), NANOUSD_PER_USD)
    fraction = f"{rest:09d}".rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def usd_number(nanousd: int) -> float:
    """Nano-dollars as a JSON number of dollars, for dialects whose clients read a number."""
    return nanousd / NANOUSD_PER_USD


def parse_usd(text: str) -> int:
    """Dollars as a decimal string -> nano-dollars.

    Raises:
        ValueError: not a finite decimal number, finer than a nano-dollar, or over a billion dollars.
    """
    try:
        nanousd = Decimal(text) * NANOUSD_PER_USD
    except (InvalidOperation, TypeError) as e:
        raise ValueError(f"not a decimal amount of dollars: {text!r}") from e
    if not nanousd.is_finite() or abs(nanousd) > _MAX_NANOUSD or nanousd != nanousd.to_integral_value():
        raise ValueError(f"not a whole number of nano-dollars within a billion dollars: {text!r}")
    return int(nanousd)


def round_nanousd(exact: Decimal) -> int:
    """The one rounding rule: half to even, once for each attempt, on the exact sum of its parts."""
    return int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))


def with_margin(cost_nanousd: int, margin_percent: Decimal) -> int:
    """Provider cost plus the operator's margin (5 means 5 %), rounded by `round_nanousd`."""
    return round_nanousd(cost_nanousd * (100 + margin_percent) / 100)
