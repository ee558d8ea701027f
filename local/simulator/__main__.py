"""`python -m local.simulator --port N [--keys FILE]`: the simulated provider as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from local.simulator.app import start_simulator


async def serve(port: int, keys: Path | None) -> None:
    """Serve until SIGINT or SIGTERM; the first line printed is the origin."""
    simulator = await start_simulator(port)
    if keys is not None:
        simulator.keys.load(keys)
    print(simulator.origin, flush=True)
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    await stop.wait()
    await simulator.close()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.simulator", description="A simulated model provider.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--keys", type=Path, help="JSON file: [{provider, key, accepted}]")
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.port, arguments.keys))


if __name__ == "__main__":
    main()
