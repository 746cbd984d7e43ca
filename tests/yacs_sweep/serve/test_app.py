"""The application without a server: what a browser gets while the page of its sweep is being made."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.launches import sweep_folder
from tests.report_sweeps import HOSTILE
from yacs_sweep.base.errors import SweepError
from yacs_sweep.records.folder import SweepPaths
from yacs_sweep.serve import app as apps
from yacs_sweep.serve.app import Settings, make_app

BROWSER = {"sec-fetch-dest": "document"}


async def ask(app: Any, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Asks as a server would; returns status and body."""
    given = {"host": "127.0.0.1:8780", "cookie": "yacs-sweep-8780=secret", **(headers or {})}
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], body.decode()


@pytest.fixture
def paths(tmp_path: Path) -> SweepPaths:
    return sweep_folder(tmp_path, name=HOSTILE)


def test_a_browser_waits_for_a_page_that_takes_long_to_make(paths: SweepPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    release, made = threading.Event(), []

    def make(*_: Any, **__: Any) -> str:
        made.append("page")
        assert release.wait(20)
        return "the page"

    monkeypatch.setattr(apps, "sweep_page", make)
    monkeypatch.setattr(apps, "PATIENCE", 0.05)
    app, pages = make_app(Settings("secret", 8780, [paths]))

    async def main() -> None:
        address = f"/sweep/{paths.sweep_id}"
        for _ in range(3):
            status, text = await ask(app, address, BROWSER)
            assert status == 200 and f'data-ready="{address}/ready"' in text and "/files/waiting.js" in text
            assert "of 10 trials" in text and "<img src=x" not in text and "alert(1)</script>" not in text
        waiting = [asyncio.create_task(ask(app, path)) for path in (f"{address}/ready", address)]
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in waiting)  # a program gets the page itself
        release.set()
        assert await asyncio.gather(*waiting) == [(204, ""), (200, "the page")]
        assert await ask(app, address, BROWSER) == (200, "the page")
        pages.close()

    asyncio.run(main())
    assert made == ["page"]  # once, however many asked


def test_a_browser_that_waits_is_told_why_there_is_no_page(paths: SweepPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise SweepError("sweep.yaml: cannot be read")

    monkeypatch.setattr(apps, "sweep_page", fail)
    app, pages = make_app(Settings("secret", 8780, [paths]))

    async def main() -> None:
        assert await ask(app, f"/sweep/{paths.sweep_id}/ready") == (500, "sweep.yaml: cannot be read")
        assert await ask(app, f"/sweep/{paths.sweep_id}", BROWSER) == (500, "sweep.yaml: cannot be read")
        assert (await ask(app, "/sweep/other/ready"))[0] == 404
        pages.close()

    asyncio.run(main())
