"""Lets only the user's own browser in: a token, the address it was printed for, and no request from another page.

Everything on the machine can reach 127.0.0.1: other users, pages of other sites in the same browser, names that a hostile
DNS server points here (DNS rebinding). So each request needs the token, in a cookie that scripts cannot read, and a Host
header that is this server's; what changes something also needs this page's Origin and a header of ours.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ORDER_HEADER = b"x-yacs-sweep"  # a page of another origin cannot send it without asking first, and is told no
LONGEST_PATH = 1024  # bytes
LONGEST_BODY = 1 << 16  # bytes
HEADERS = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
NOT_TAKEN = "no request that is taken here"
OTHER_PAGE = "a page of another origin may not ask here"
NOT_LET_IN = "This address needs the token that report.py --serve has printed: open that address."


class Access:
    """ASGI application that answers for another one to whoever may not reach it."""

    def __init__(self, app: App, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"127.0.0.1:{port}".encode(), f"localhost:{port}".encode()}
        self._cookie = cookie_name(port)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the request, or lets the application do so; adds the headers that hold for every answer."""
        if scope["type"] != "http":
            return

        async def send_safely(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message.get("headers", ())}
                extra = [pair for pair in HEADERS if pair[0] not in known]
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        refused = self._refuse(scope)
        if refused is not None:
            await refused(scope, receive, send_safely)
            return
        await self._app(scope, _bounded(receive), send_safely)

    def _refuse(self, scope: Scope) -> Response | None:
        """Returns the answer to a request that is not let in, or that brings the token; None for one that may pass."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name == b"host" and name in headers:
                return PlainTextResponse(NOT_TAKEN, 400)
            headers[name] = value
        host = headers.get(b"host", b"").lower()
        if host not in self._hosts:
            return PlainTextResponse("not an address of this server: 127.0.0.1 or localhost with its own port", 421)
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_PATH:
            return PlainTextResponse(NOT_TAKEN, 414)
        method = scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            return PlainTextResponse(NOT_TAKEN, 405)
        if method == "GET" and scope["path"] == "/" and scope["query_string"]:
            return self._bring_in(scope["query_string"])
        cookies = cookie_parser(headers.get(b"cookie", b"").decode("latin-1"))
        if not self._is_token(cookies.get(self._cookie, "")):
            return PlainTextResponse(NOT_LET_IN, 403)
        # Pages on other ports of this machine are of the same site, so that the browser sends them our cookie.
        site = headers.get(b"sec-fetch-site", b"none")
        if site not in (b"none", b"same-origin") and headers.get(b"sec-fetch-mode") != b"navigate":
            return PlainTextResponse(OTHER_PAGE, 403)
        return self._refuse_change(headers, host) if method == "POST" else None

    def _refuse_change(self, headers: dict[bytes, bytes], host: bytes) -> Response | None:
        """Returns the answer to a POST that this server's own page has not sent; None for one that it has."""
        if headers.get(b"origin") != b"http://" + host:
            return PlainTextResponse(OTHER_PAGE, 403)
        if headers.get(ORDER_HEADER) != b"order":
            return PlainTextResponse(OTHER_PAGE, 403)
        length = headers.get(b"content-length", b"")
        if not length.isdigit():
            return PlainTextResponse(NOT_TAKEN, 411)
        if int(length[:20]) > LONGEST_BODY:
            return PlainTextResponse(NOT_TAKEN, 413)
        return None

    def _bring_in(self, query: bytes) -> Response:
        """Moves the token from the address to a cookie."""
        given = parse_qs(query.decode("latin-1"), max_num_fields=4).get("token", [""])
        if len(given) != 1 or not self._is_token(given[0]):
            return PlainTextResponse(NOT_LET_IN, 403)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._cookie, self._token, path="/", httponly=True, samesite="strict")
        return answer

    def _is_token(self, given: str) -> bool:
        """Tells whether this is the token, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token.encode())


def cookie_name(port: int) -> str:
    """Returns the cookie's name: browsers keep one set of cookies for all ports of a machine."""
    return f"yacs-sweep-{port}"


def _bounded(receive: Receive) -> Receive:
    """Cuts off a request's body that is longer than it says."""
    left = LONGEST_BODY

    async def receive_some() -> MutableMapping[str, Any]:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return {"type": "http.disconnect"} if left < 0 else message

    return receive_some
