"""Answers the requests of the served page: the page itself, its events, its scripts, orders; and the index of all sweeps."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from ..base.errors import SweepError
from ..records.folder import SweepPaths
from ..show.query.sweeps import known_sweeps
from ..show.report.page.blob import as_text
from ..show.report.page.html import library
from .access import NOT_TAKEN, Access, Receive, Scope, Send
from .hub import Hub
from .orders import give_order
from .overview import PERIOD as OVERVIEW_PERIOD
from .overview import Overview
from .pages import index_page, policy, sweep_data, sweep_page, trial_data, waiting_page
from .reader import PERIOD, SweepReader

SCRIPTS = ("stream.js", "merge.js", "details.js", "live.js", "control.js", "index.js", "waiting.js")
FILES = {**dict.fromkeys(SCRIPTS, "text/javascript"), "live.css": "text/css"}
CONNECTIONS = 128  # at the same time; a browser needs one for each of its pages, and a few for a moment
STALLED = 20.0  # seconds that a browser may not take anything of the stream
SHARE = 50  # times as long as it takes to make all data, they are not made again: 2 % of a core
PATIENCE = 0.4  # seconds until a browser is shown that its page is being made
KNOWN_FOR = 2.0  # seconds that the list of sweeps is not looked up again


@dataclass(frozen=True)
class Settings:
    """Says what is served, and to whom.

    Attributes:
        token: what a browser must bring.
        sweeps: the sweeps that are served; None: all known ones.
        storage: the database that takes orders, where the sweep has one with a password.
        read_only: whether no orders are taken.
    """

    token: str
    port: int
    sweeps: Sequence[SweepPaths] | None = None
    results_dir: str | None = None
    storage: str | None = None
    read_only: bool = False

    @property
    def only(self) -> SweepPaths | None:
        """The one sweep that is served; None where there are several, or all known ones."""
        return self.sweeps[0] if self.sweeps is not None and len(self.sweeps) == 1 else None


@dataclass
class Served:
    """Holds what the server knows of one sweep: its reader with the browsers that follow, and the page as it was last made."""

    paths: SweepPaths
    reader: SweepReader
    hub: Hub
    page: str = ""
    mark: str = ""  # of the last event that the page holds
    made: float = 0.0  # when, by the monotonic clock,
    took: float = 0.0  # and how long that took, in seconds
    data: bytes = b""  # all its data, for pages that are open,
    data_made: float = 0.0  # and the same of these
    data_took: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Pages:
    """Answers requests that were let in."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._served: dict[str, Served] = {}
        self._known: dict[str, SweepPaths] = {}
        self._known_at = float("-inf")
        self._rows = Overview(self._sweeps)
        self._overview = Hub(self._rows, OVERVIEW_PERIOD)
        self._making: set[asyncio.Future[str]] = set()
        self._placeholder = secrets.token_hex(16)  # stands for the nonce in a page that is kept

    def routes(self) -> list[Route]:
        """Returns the routes. Only `order` changes anything, and takes nothing but POST."""
        return [
            Route("/", self.index),
            Route("/events", self.index_events),
            Route("/files/{name}", self.file),
            Route("/sweep/{sweep_id}", self.sweep),
            Route("/sweep/{sweep_id}/ready", self.ready),
            Route("/sweep/{sweep_id}/trial/{name}", self.trial),
            Route("/sweep/{sweep_id}/events", self.events),
            Route("/sweep/{sweep_id}/data", self.data),
            Route("/sweep/{sweep_id}/order", self.order, methods=["POST"]),
        ]

    def close(self) -> None:
        """Ends all streams."""
        for hub in (self._overview, *(served.hub for served in self._served.values())):
            hub.close()

    # -- answers ----------------------------------------------------------------------------------------------------------
    async def index(self, request: Request) -> Response:
        """Answers with the list of sweeps; with the page where there is one sweep."""
        if (only := self._settings.only) is not None:
            return RedirectResponse(f"/sweep/{only.sweep_id}", 303)
        mark = await self._overview.mark()
        rows = (await run_in_threadpool(self._overview.source.whole))["sweeps"]
        return self._html(index_page(rows, mark, self._placeholder))

    async def index_events(self, request: Request) -> Response:
        """Streams what changes in the list."""
        return Stream(self._overview.listen(_after(request)))

    async def sweep(self, request: Request) -> Response:
        """Answers with the page of a sweep; a browser gets one that waits for it where it takes a while."""
        served = await self._find(request)
        if served is None:
            return PlainTextResponse("no such sweep", 404)
        making = asyncio.ensure_future(self._page(served))
        patience = PATIENCE if request.headers.get("sec-fetch-dest") == "document" else None
        if not (await asyncio.wait({making}, timeout=patience))[0]:
            self._making.add(making)  # as long as it takes: nobody else holds it
            making.add_done_callback(self._made)
            return self._html(waiting_page(await run_in_threadpool(self._rows.row, served.paths), self._placeholder))
        try:
            return self._html(making.result())
        except SweepError as error:
            return PlainTextResponse(str(error), 500)

    def _made(self, making: asyncio.Future[str]) -> None:
        """Lets go of a page that was made; who asks again is told of an error."""
        self._making.discard(making)
        if not making.cancelled():
            making.exception()

    async def ready(self, request: Request) -> Response:
        """Answers when the page of a sweep is made."""
        served = await self._find(request)
        if served is None:
            return PlainTextResponse("no such sweep", 404)
        try:
            await self._page(served)
        except SweepError as error:
            return PlainTextResponse(str(error), 500)
        return Response(status_code=204)

    async def trial(self, request: Request) -> Response:
        """Answers with the details of a trial, as they are now."""
        served = await self._find(request)
        if served is None:
            return PlainTextResponse("no such sweep", 404)
        await served.hub.mark()  # reads the trials, unless it does already
        try:
            content = await run_in_threadpool(
                trial_data, served.paths, served.reader.records(), request.path_params["name"]
            )
        except SweepError as error:
            return PlainTextResponse(str(error), 500)
        if content is None:
            return PlainTextResponse("no such trial", 404)
        return Response(as_text(content), media_type="application/json")

    async def warm(self) -> None:
        """Reads what every page needs, and makes that of the one sweep that is served, before anybody asks for it."""
        await run_in_threadpool(library)
        if (only := self._settings.only) is not None:
            with contextlib.suppress(SweepError):  # who asks is told
                await self._page(self._served_of(only))

    async def _page(self, served: Served) -> str:
        """Makes the page of a sweep; one that was made a moment ago is given again, as events bring it up to date.

        Raises:
            SweepError: the sweep cannot be read.
        """
        async with served.lock:
            mark = await served.hub.mark()
            age = time.monotonic() - served.made
            if not served.page or (mark != served.mark and age > 20 * served.took):
                started = time.monotonic()
                read_only, several = self._settings.read_only, self._settings.only is None
                served.page = await run_in_threadpool(
                    sweep_page, served.paths, mark, self._placeholder, read_only=read_only, index=several
                )
                served.mark, served.made = mark, time.monotonic()
                served.took = served.made - started
            return served.page

    async def events(self, request: Request) -> Response:
        """Streams what changes in a sweep."""
        served = await self._find(request)
        return PlainTextResponse("no such sweep", 404) if served is None else Stream(served.hub.listen(_after(request)))

    async def data(self, request: Request) -> Response:
        """Answers with all data of a sweep's page; as they were a while ago, where making them is much work."""
        served = await self._find(request)
        if served is None:
            return PlainTextResponse("no such sweep", 404)
        async with served.lock:
            started = time.monotonic()
            patience = 2 if "now" in request.query_params else SHARE
            if not served.data or started - served.data_made > patience * served.data_took:
                try:
                    content = await run_in_threadpool(sweep_data, served.paths)
                except SweepError as error:
                    return PlainTextResponse(str(error), 500)
                served.data_made = time.monotonic()
                served.data_took = served.data_made - started
                content["took"] = round(served.data_took, 3)
                served.data = await run_in_threadpool(lambda: gzip.compress(as_text(content).encode(), 6))
        return Response(served.data, media_type="application/json", headers={"content-encoding": "gzip"})

    async def order(self, request: Request) -> Response:
        """Gives an order to a sweep."""
        served = await self._find(request)
        if served is None:
            return JSONResponse({"lines": ["no such sweep"]}, 404)
        if self._settings.read_only:
            return JSONResponse({"lines": ["this server was started with --read-only"]}, 403)
        try:
            body = await asyncio.wait_for(request.body(), STALLED)
        except (ClientDisconnect, asyncio.TimeoutError):
            return PlainTextResponse(NOT_TAKEN, 400)
        status, lines = await run_in_threadpool(give_order, served.paths, self._settings.storage, body)
        return JSONResponse({"lines": lines}, status)

    async def file(self, request: Request) -> Response:
        """Answers with one of the scripts and style sheets that only the served page has."""
        name = request.path_params["name"]
        if name not in FILES:
            return PlainTextResponse("no such file", 404)
        text = (resources.files(__package__) / "web" / name).read_text(encoding="utf-8")
        return Response(text, media_type=FILES[name])

    # -- what is served -----------------------------------------------------------------------------------------------------
    def _sweeps(self) -> list[SweepPaths]:
        """Finds the sweeps that are served, the latest first; of two with one id the later."""
        if self._settings.sweeps is not None:
            return list(self._settings.sweeps)
        found: dict[str, SweepPaths] = {}
        for paths in known_sweeps(self._settings.results_dir):
            found.setdefault(paths.sweep_id, paths)
        return list(found.values())

    async def _find(self, request: Request) -> Served | None:
        """Finds the sweep that the address names, among those that are served."""
        sweep_id = request.path_params["sweep_id"]
        if sweep_id not in self._known and time.monotonic() - self._known_at > KNOWN_FOR:
            self._known = {paths.sweep_id: paths for paths in await run_in_threadpool(self._sweeps)}
            self._known_at = time.monotonic()
        paths = self._known.get(sweep_id)
        return None if paths is None else self._served_of(paths)

    def _served_of(self, paths: SweepPaths) -> Served:
        """Returns what is kept of a sweep."""
        if paths.sweep_id not in self._served:
            reader = SweepReader(paths)
            self._served[paths.sweep_id] = Served(paths, reader, Hub(reader, PERIOD))
        return self._served[paths.sweep_id]

    def _html(self, page: str) -> HTMLResponse:
        """Makes the answer of a page, whose scripts carry a number that is used once."""
        nonce = secrets.token_urlsafe(16)
        return HTMLResponse(
            page.replace(self._placeholder, escape(nonce)), headers={"content-security-policy": policy(nonce)}
        )


def _after(request: Request) -> str | None:
    """Returns the number of the last event that a browser has: of its stream that broke, else of its page."""
    return request.headers.get("last-event-id") or request.query_params.get("after")


class Stream(Response):
    """Sends server-sent events; ends with the browser, or when it takes nothing for a while."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        self._events = events
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events until one side ends."""
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task

    async def _send(self, send: Send) -> None:
        """Sends each event as soon as the browser has taken those before."""
        with contextlib.suppress(asyncio.TimeoutError, OSError):
            async for event in self._events:
                message = {"type": "http.response.body", "body": event, "more_body": True}
                await asyncio.wait_for(send(message), STALLED)
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    """Returns when the browser has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def make_app(settings: Settings) -> tuple[Access, Pages]:
    """Makes the ASGI application, behind the check of who may ask; and the pages in it, which are to be closed."""
    pages = Pages(settings)
    return Access(Starlette(routes=pages.routes()), settings.token, settings.port), pages


class Server(uvicorn.Server):
    """Makes the first page when it starts; ends the streams before it ends, as they would never end by themselves."""

    def __init__(self, config: uvicorn.Config, pages: Pages) -> None:
        super().__init__(config)
        self._pages = pages
        self._warming: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to answer, and makes the first page."""
        await super().startup(sockets)
        self._warming = asyncio.create_task(self._pages.warm())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the streams, then the server."""
        if self._warming is not None:
            self._warming.cancel()
        self._pages.close()
        await super().shutdown(sockets)


def run(settings: Settings, listening: socket.socket) -> None:
    """Serves until Ctrl-C or SIGTERM."""
    app, pages = make_app(settings)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=16 << 10,
    )
    # uvicorn sends itself the signal again when it has shut down; whoever has ended the server wants no traceback.
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    try:
        Server(config, pages).run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
