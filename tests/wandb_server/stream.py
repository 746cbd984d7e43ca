"""The file stream: rows, summary, output and exit code of a run, sent while it runs."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.wandb_server.model import Run


def apply(run: Run, message: dict[str, Any]) -> dict[str, Any]:
    """Take in one message and return the answer. A message sent twice changes nothing: offsets place its lines."""
    run.heartbeat = time.time()
    if run.state in ("crashed", "pending"):
        run.state = "running"
    for name, chunk in (message.get("files") or {}).items():
        offset, content = chunk.get("offset", 0), chunk.get("content") or []
        if name == "wandb-history.jsonl":
            _place(run.rows, offset, content)
        elif name == "wandb-events.jsonl":
            _place(run.events, offset, content)
        elif name == "output.log":
            _place(run.output, offset, content)
        elif name == "wandb-summary.json" and content:
            run.summary = content[-1]
    if message.get("preempting"):
        run.state = "preempting"
    if message.get("complete"):
        run.finish(int(message.get("exitcode") or 0))
    limits: dict[str, Any] = {}
    return {"exitcode": run.exit_code, "limits": limits, "stopped": run.stop_requested}


def _place(lines: list[str], offset: int, content: list[str]) -> None:
    if offset > len(lines):
        # Keep the place: a test that counts rows must see what is missing.
        lines.extend([json.dumps({"_missing": True})] * (offset - len(lines)))
    lines[offset : offset + len(content)] = content
