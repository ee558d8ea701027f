"""`make run`, as a newcomer sees it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "local", "--port", "0", *arguments]


def environment(**more: str) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**inherited, "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}", "PYTHONUNBUFFERED": "1", **more}


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("--once", *arguments), cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=100
    )


def test_the_main_job_is_shown_and_its_status_tells(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "validated live, stored as ciphertext" in done.stdout
    assert "X-Ownkey-Byok: true" in done.stdout
    assert re.search(
        r"usage: \d+ \+ \d+ tokens, is_byok True, provider cost \$0\.0000\d+, charged here \$0", done.stdout
    )
    assert re.search(r"today: 1 request, 1 on your own key", done.stdout)
    assert "curl -N http://127.0.0.1:" in done.stdout
    state = tmp_path / ".local" / "state.json"
    assert state.stat().st_mode & 0o077 == 0, "it holds keys: for its owner alone"
    assert set(json.loads(state.read_text())) >= {"base_url", "management_url", "gateway_keys", "sessions"}


def test_a_main_job_that_fails_says_where_and_with_its_status(tmp_path: Path) -> None:
    upstreams = tmp_path / "upstreams.json"
    upstreams.write_text(json.dumps({"openai": "http://127.0.0.1:9/v1"}))
    done = run(tmp_path, "--upstreams", str(upstreams))
    assert done.returncode == 1
    assert "provider_unreachable" in done.stderr


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "JSON"),
        ('{"accounts": [{"id": "a b"}]}', "accounts.0.id"),
        ('{"accounts": [{"id": "a", "credentials": [{"provider": "nobody", "secret": "sk-x"}]}]}', "nobody"),
        ('{"acounts": []}', "acounts"),
    ],
)
def test_a_seed_that_cannot_be_used_is_explained(tmp_path: Path, content: str, complaint: str) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(content)
    done = run(tmp_path, "--seed", str(seed))
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_it_serves_a_seed_until_ctrl_c_and_leaves_nothing_behind(tmp_path: Path) -> None:
    key = "sk-sim-seeded-0000000000000000000000"
    seed = {
        "accounts": [
            {
                "id": "acme",
                "name": "Acme",
                "credits_usd": 5,
                "users": [{"email": "ann@example.com", "role": "owner"}],
                "gateway_keys": [{"alias": "app"}, {"alias": "old", "key": "sk-from-another-gateway-0123456789"}],
                "credentials": [{"provider": "openai", "secret": key, "alias": "main", "gateway_keys": ["app", "old"]}],
            }
        ],
        "platform_credentials": [{"provider": "anthropic", "secret": "sk-ant-any-key-the-seed-names-0001"}],
    }
    (tmp_path / "seed.json").write_text(json.dumps(seed))
    process = subprocess.Popen(
        command("--seed", "seed.json"),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell starts what it puts into the background deaf to Ctrl-C, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "Ctrl-C" in line:
                break
        state = json.loads((tmp_path / ".local" / "state.json").read_text())
        chat = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
        for alias in ("app", "old"):
            headers = {"Authorization": f"Bearer {state['gateway_keys']['acme'][alias]}"}
            answer = httpx.post(f"{state['base_url']}/v1/chat/completions", json=chat, headers=headers, timeout=30)
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-ownkey-credential"] == "main"
        assert orphans(state["aws_endpoint"]), "its functions run"
        session = {"Authorization": f"Bearer {state['sessions']['ann@example.com']}"}
        balance = httpx.get(f"{state['management_url']}/api/balance", headers=session, timeout=30)
        assert balance.json()["available_usd"] == "5"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            status = process.wait(timeout=30)
        finally:
            process.kill()
            process.stdout.close()
    assert status == 0
    deadline = time.monotonic() + 10
    while (left := orphans(state["aws_endpoint"])) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
    for url in (state["aws_endpoint"], state["base_url"]):
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)


def orphans(aws_endpoint: str) -> list[str]:
    """Processes that were started for the stack whose AWS this is: each function has its address."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
            if aws_endpoint.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found
