"""What the demo's server refuses, in front of Gradio, and what it lets the page load."""

import email.message
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from astmt_jax.demo.uploads import MAX_FILE_MEGABYTES
from astmt_jax.files.documents import parse_document

MAX_JSON_BYTES = 1_000_000
"""Requests but for uploads are a few kilobytes; a photo inside of one would evade the limits."""

MAX_UPLOAD_BYTES = MAX_FILE_MEGABYTES * 10**6 + MAX_JSON_BYTES
"""Of a request with a photo."""

POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)
"""Content security policy: the page may load nothing from elsewhere."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


class Guard:
    """ASGI middleware: no requests of other pages, no addresses to download, no large requests.

    A page from elsewhere can have a visitor's browser ask this server under a name that leads here
    (DNS rebinding), or from its own origin: only the names by which the server is meant to be
    reached are answered, and only the page itself. Gradio itself takes only files that were
    uploaded to it, but would fetch a file that a request gives the address of.

    Args:
      app: what is guarded.
      host: that the server listens at, by which it may be called; where it listens at all
        addresses, any address (but not any name), and the name of this machine, will do.
    """

    def __init__(self, app: ASGIApp, host: str):
        self._app = app
        self._names = {*LOOPBACK_NAMES, host.lower()}
        self._any_address = _is_unspecified(host)
        if self._any_address:
            self._names.add(socket.gethostname().lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        headers = Headers(scope=scope)
        if not self._is_ours(headers):
            refusal = PlainTextResponse("This server is for its own page only.", 403)
            await refusal(scope, receive, send)
            return
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send_with_policy)
            return
        form = email.message.Message()
        form["content-type"] = headers.get("content-type", "")
        upload = form.get_content_type() == "multipart/form-data"
        limit = MAX_UPLOAD_BYTES if upload else MAX_JSON_BYTES
        body = await _read(receive, limit)
        if len(body) > limit:
            refusal = "The request is too large."
        elif upload:
            refusal = _refused_upload(body, form.get_boundary("").encode())
        else:
            refusal = _refused_json(body)
        if refusal is not None:
            await JSONResponse({"error": refusal}, 400)(scope, receive, send_with_policy)
            return
        await self._app(scope, _replayed(body, receive), send_with_policy)

    def _is_ours(self, headers: Headers) -> bool:
        """Whether a request calls this server by its name, and comes from its page or from none."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        return (
            len(hosts) == 1
            and self._is_known(_name_of(f"//{hosts[0]}"))
            and all(urlsplit(origin).netloc == hosts[0] for origin in origins)
        )

    def _is_known(self, name: str | None) -> bool:
        return name in self._names or (self._any_address and _is_address(name))


def _name_of(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _is_address(name: str | None) -> bool:
    try:
        ipaddress.ip_address(name or "")
    except ValueError:
        return False
    return True


def _is_unspecified(host: str) -> bool:
    """Whether a server at this host listens at all addresses of the machine."""
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


async def _read(receive: Receive, limit: int) -> bytes:
    """The body of a request, or as much of it as shows that it is too large."""
    body, more = bytearray(), True
    while more and len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _refused_upload(body: bytes, boundary: bytes) -> str | None:
    """Why an upload is refused; None if it is not."""
    if not boundary or body.count(b"--" + boundary) > 2:  # before the file, and after it
        return "One file at a time is taken."
    return None


def _refused_json(body: bytes) -> str | None:
    """Why another request is refused; None if it is not."""
    try:
        document = parse_document((body or b"null").decode())
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
