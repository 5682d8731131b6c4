"""Who may see the dashboard, and what every answer says to be safe."""

import re
import secrets
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_COOKIE = "coda-token"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Door:
    """Lets in who brings the token, in the address once and in a cookie from then on; sets the headers of safety."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token, self._kept = app, token, quote(token, safe="")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        if (refusal := self._refusal(request)) is not None:
            await refusal(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, request: Request) -> Response | None:
        if not self._token:
            if re.sub(r":\d+\Z", "", request.headers.get("host", "")) in LOOPBACK:
                return None
            return PlainTextResponse("this dashboard answers to 127.0.0.1 and localhost alone\n", 403)
        if _are_alike(request.cookies.get(_COOKIE, ""), self._kept):
            return None
        if not _are_alike(request.query_params.get("token", ""), self._token):
            return PlainTextResponse("open the address with ?token=… that `coda dashboard` printed\n", 401)
        answer = RedirectResponse(request.url.remove_query_params("token").path)
        answer.set_cookie(_COOKIE, self._kept, httponly=True, samesite="strict")
        return answer


def _are_alike(said: str, wanted: str) -> bool:
    """Whether they are the same, in a time that tells nothing; a stranger may say any characters."""
    return secrets.compare_digest(said.encode(), wanted.encode())
