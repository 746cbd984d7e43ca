"""Runs a peer's scheduler in its own environment, on the same virtual clock: one JSON line a question, one an answer."""

from __future__ import annotations

import heapq
import json
import subprocess
from pathlib import Path
from typing import Any

from multi_fidelity_functions import EPOCHS, Problem, speeds_of

PEERS = ("syne asha", "syne mobster", "ray asha")


class Peer:
    """Talks to a peer's process."""

    def __init__(self, environment: str) -> None:
        python = Path(environment) / "bin" / "python"
        script = Path(__file__).with_name("multi_fidelity_peer.py")
        self.process = subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **question: Any) -> Any:
        """Returns the answer to a question."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the peer's process has ended")
        return json.loads(line)


def peer_search(peer: Peer, method: str, problem: Problem, seed: int, budget: int, workers: int, watch: Any) -> None:
    """Runs one search by a peer; `watch` notes what it finds."""
    speeds = speeds_of(seed, budget + 1)
    peer.ask(op="begin", method=method, seed=seed, dimensions=problem.dimensions, epochs=EPOCHS)
    points: dict[int, list[float]] = {}
    epochs: dict[int, int] = {}
    events: list[tuple[float, int]] = []
    now, trained, free = 0.0, 0, workers
    while trained < budget and not watch.done:
        while free:
            answer = peer.ask(op="suggest", number=len(points))
            if answer is None:
                break
            number = answer["number"]
            if number not in points:
                points[number], epochs[number] = answer["point"], 0
            heapq.heappush(events, (now + speeds[number], number))
            free -= 1
        now, number = heapq.heappop(events)
        epochs[number] += 1
        trained += 1
        value = problem.value(points[number], epochs[number])
        word = peer.ask(op="result", number=number, epoch=epochs[number], value=value)
        if epochs[number] >= EPOCHS:
            watch.note(problem.regret(value), trained)
            free += 1
        elif word == "continue":
            heapq.heappush(events, (now + speeds[number], number))
        else:
            free += 1
