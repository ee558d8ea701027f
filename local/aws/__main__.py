"""`python -m local.aws`: AWS on loopback until it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
import signal

from local.aws.gate import Gate
from local.aws.server import listen


async def _run(port: int) -> None:
    runner = await listen(Gate(), port)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    host, bound = runner.addresses[0][:2]
    print(f"AWS on http://{host}:{bound}", flush=True)
    await stopping.wait()
    await runner.cleanup()


def main() -> None:
    """Reads the port and runs."""
    parser = argparse.ArgumentParser(prog="python -m local.aws", description="AWS on a laptop, on loopback only.")
    parser.add_argument("--port", type=int, default=4566, help="0 takes a free one (default: %(default)s)")
    asyncio.run(_run(parser.parse_args().port))


if __name__ == "__main__":
    main()
