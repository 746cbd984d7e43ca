"""`python -m tests.wandb_server --port 0 [--fault RULE …]`: prints its address, runs until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import threading

from tests.wandb_server import Fault, start_server


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.wandb_server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--crash-after",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="a run that is silent for so long counts as crashed",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        type=Fault.parse,
        metavar="KEY=VALUE,…",
        help="for example kind=status,operation=Heartbeat,status=503,count=3",
    )
    arguments = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with start_server(arguments.port, seed=arguments.seed, crash_after=arguments.crash_after) as server:
        for fault in arguments.fault:
            server.faults.add(fault)
        print(server.url, flush=True)
        ended.wait()


if __name__ == "__main__":
    main()
