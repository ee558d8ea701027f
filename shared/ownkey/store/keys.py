"""Partition and sort keys of every item: the one place that knows how they are put together.

The tables and the items' attributes: docs/contracts/tables.md.
"""

from __future__ import annotations

from ownkey.domain.ids import id_day, is_admin_credential

ACCOUNTS_PARTITION = "ACCOUNTS"
"""Registry: one small item for each account, so that schedules and the operator can list them."""
HEAD = "HEAD"
CREDENTIAL_PREFIX = "CRED#"
ADMIN_PREFIX = "ADMIN#"
"""Of admin credentials: outside the range that requests read."""
BALANCE = "BALANCE"
HOLD_PREFIX = "HOLD#"
LIMIT_PREFIX = "LIMIT#"
HEALTH = "HEALTH"
LAST = "\uffff"
"""Behind everything that begins as what stands before it: the end of a range."""


# Registry
def account(account_id: str) -> str:
    """Partition of an account: its head, credentials and settings; what a snapshot reads."""
    return f"ACCT#{account_id}"


def credential(credential_id: str) -> str:
    """Sort key of a credential's public part."""
    return f"{ADMIN_PREFIX if is_admin_credential(credential_id) else CREDENTIAL_PREFIX}{credential_id}"


def credential_version(credential_id: str, version: int) -> str:
    """Sort key of one version's sealed secret: right behind its credential."""
    return f"{credential(credential_id)}#V#{version:08d}"


def limit(limit_id: str) -> str:
    """Sort key of a limit, in its account's partition."""
    return f"{LIMIT_PREFIX}{limit_id}"


def gateway_key(digest: str) -> str:
    """Partition of a gateway key, by its full digest; the item's sort key is `KEY`."""
    return f"KEY#{digest}"


GATEWAY_KEY_SK = "KEY"


def gateway_keys_of(account_id: str) -> str:
    """Partition that lists an account's gateway keys (sort key: the key's id; holds its digest)."""
    return f"KEYS#{account_id}"


def members_of(account_id: str) -> str:
    """Partition of an account's members (sort key: the user's id)."""
    return f"MEMBERS#{account_id}"


def accounts_of_user(user_id: str) -> str:
    """Partition of a user's accounts (sort key: the account's id)."""
    return f"USER#{user_id}"


def shared(provider_id: str) -> str:
    """Partition that lists the credentials for a provider that accounts share (sort key: the credential's id)."""
    return f"SHARED#{provider_id}"


REWRAP_PARTITION = "REWRAP"
"""Registry: jobs that bring secrets under another KMS key (sort key: the job's id)."""


OPEN_RECONCILIATIONS = "RECONS"
"""Registry: reconciliations that are not done (sort key: the reconciliation's id; holds its account)."""
SETTINGS = "SETTINGS"
LEAK_PREFIX = "LEAK#"
KNOWN_KEYS_PREFIX = "KEYS#"
RECORDED_PREFIX = "RECORDED#"
ROW_PREFIX = "ROW#"


def reconciliations(account_id: str) -> str:
    """Partition of an account's reconciliations (sort key: the id), its leaks, its providers' known keys."""
    return f"RECON#{account_id}"


def reconciled(account_id: str, reconciliation_id: str) -> str:
    """Partition of what one reconciliation found (`ROW#<day>#<credential>`), and of its unfinished work."""
    return f"RECON#{account_id}#{reconciliation_id}"


def idempotency(account_id: str) -> str:
    """Partition of an account's idempotency records (sort key: a digest of user, route and key)."""
    return f"IDEM#{account_id}"


def invitations(account_id: str) -> str:
    """Partition of an account's open invitations (sort key: the invitation's id)."""
    return f"INVITES#{account_id}"


def invitations_to(email_digest: str) -> str:
    """Partition of the invitations to one e-mail address, by its SHA-256 (sort key: the invitation's id)."""
    return f"INVITED#{email_digest}"


# Health
def health(account_id: str) -> str:
    """Partition of an account's health item (sort key `HEALTH`)."""
    return f"HEALTH#{account_id}"


def used(digest: str) -> str:
    """Sort key of the item that says when a gateway key's secret was last used, by the secret's full digest."""
    return f"USED#{digest}"


# Answers
def answer(account_id: str, digest: str) -> str:
    """Partition of the parts of a kept answer, by the digest that names its note (sort key: `answer_part`)."""
    return f"ANSWER#{account_id}#{digest}"


def answer_part(token: str, number: int) -> str:
    """Sort key of one part, under the token of whoever wrote it."""
    return f"{token}#{number:02d}"


# Audit
def audit(account_id: str) -> str:
    """Partition of an account's audit log (sort key: the entry's time-ordered id)."""
    return f"AUDIT#{account_id}"


# Records
def attempts(account_id: str, day: str) -> str:
    """Partition of an account's attempts of one UTC day (sort key: the attempt's id)."""
    return f"ATT#{account_id}#{day}"


def attempts_of_request(account_id: str, request_id: str) -> str:
    """Partition in which a request's attempts stand: its day is inside its id."""
    return attempts(account_id, id_day(request_id))


def deposits(account_id: str) -> str:
    """Partition of an account's deposits (sort key: the deposit's id)."""
    return f"DEP#{account_id}"


RELEASES_PREFIX = "REL#"


def releases(account_id: str) -> str:
    """Partition of an account's released holds (sort key: the attempt's id and the time)."""
    return f"{RELEASES_PREFIX}{account_id}"


REWARDS_PREFIX = "RWD#"


def rewards(account_id: str) -> str:
    """Partition of what an account is given for sharing (sort key: the reward's id)."""
    return f"{REWARDS_PREFIX}{account_id}"


SWEEP_PARTITION = "SWEEP"
"""Records: where upkeep notes how far it has looked for abandoned attempts."""


# Credits
def credits_of(account_id: str, shard: int = 0) -> str:
    """Partition of one of an account's sub-balances (`BALANCE`) and its open holds (`HOLD#<attempt id>`)."""
    return f"CREDITS#{account_id}#{shard}" if shard else f"CREDITS#{account_id}"


def hold(attempt_id: str) -> str:
    """Sort key of an attempt's hold."""
    return f"{HOLD_PREFIX}{attempt_id}"


# Counters
def counters(account_id: str, limit_id: str) -> str:
    """Partition of a limit's counters (sort key: `counter`)."""
    return f"CNT#{account_id}#{limit_id}"


def counter(window: str, period: str) -> str:
    """Sort key of the counter of one period: `minute#2026-11-21T08:31`, `total#`."""
    return f"{window}#{period}"


def reservations(account_id: str) -> str:
    """Partition of what an account's attempts under way have reserved of its limits (sort key: the attempt's id)."""
    return f"RSV#{account_id}"


# Ledger
LEDGER_PREFIX = "LEDGER#"


def ledger(account_id: str) -> str:
    """Partition of an account's postings (sort key: the posting's id, time-ordered)."""
    return f"{LEDGER_PREFIX}{account_id}"


# Rollups
def rollup(account_id: str, dimension: str) -> str:
    """Partition of one dimension's aggregates."""
    return f"ROLLUP#{account_id}#{dimension}"


def rollup_bucket(granularity: str, time: str, value: str) -> str:
    """Sort key: `D#2026-11-21#gpt-4o`, `H#2026-11-21T08#`; a year of one dimension is one range."""
    return f"{granularity}#{time}#{value}"
