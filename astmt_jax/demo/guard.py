"""What the demo's server refuses, in front of Gradio, and what it lets the page load."""

import json
from collections.abc import Iterator
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_JSON_BYTES = 1_000_000
"""Requests but for uploads are a few kilobytes; a photo inside of one would evade the limits."""

POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)
"""Content security policy: the page may load nothing from elsewhere."""


class Guard:
    """ASGI middleware: no addresses to download for us, no large requests, nothing from elsewhere.

    Gradio itself takes only files that were uploaded to it, but would fetch a file that a request
    gives the address of.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        upload = Headers(scope=scope).get("content-type", "").startswith("multipart/form-data")
        if scope["method"] != "POST" or upload:
            await self._app(scope, receive, send_with_policy)
            return
        body = await _read(receive)
        refusal = _refusal(body)
        if refusal is not None:
            await JSONResponse({"error": refusal}, 400)(scope, receive, send_with_policy)
            return
        await self._app(scope, _replayed(body, receive), send_with_policy)


async def _read(receive: Receive) -> bytes:
    """The body of a request, or as much of it as shows that it is too large."""
    body, more = b"", True
    while more and len(body) <= MAX_JSON_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _refusal(body: bytes) -> str | None:
    """Why a request is refused; None if it is not."""
    if len(body) > MAX_JSON_BYTES:
        return "The request is too large."
    try:
        document = json.loads(body or b"null")
    except ValueError:
        return "The request is no JSON."
    if any("://" in path for path in _paths(document)):
        return "Only uploaded files are taken."
    return None


def _paths(value: Any) -> Iterator[str]:
    """All strings under a key `path`, at any depth."""
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _paths(item)
