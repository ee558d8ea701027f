"""A simulated provider: OpenAI's and Anthropic's wire formats on one local port.

    python -m local.simulator --port 8081          a process of its own
    simulator = await start_simulator()            inside a test's event loop

Every provider has its own base URL, `http://127.0.0.1:PORT/{provider}/v1`, its own keys and its own faults.
`anthropic` speaks Anthropic's dialect; every other id speaks OpenAI's. README.md beside this file lists the
knobs that script a request's fate and the admin API under `/_sim`.
"""

from local.simulator.app import Simulator, start_simulator

__all__ = ["Simulator", "start_simulator"]
