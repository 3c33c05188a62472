"""What the server is: its version, its paths, their description."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.resources import files
from typing import Any

import fastapi_swagger
import orjson
from fastapi import APIRouter, HTTPException, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import Response

from data_fetch.serving.answers import JSON
from data_fetch.serving.envelopes import enveloped
from data_fetch.serving.media_types import preferred
from data_fetch.serving.models.health import Root
from data_fetch.serving.server import Server

TITLE = "NSE F&O market data"
VERSIONS = (
    "Calls, parameters and members are added under the same paths; pass over members that you do "
    "not know. What has to go is `deprecated` here half a year before, and its answers have the "
    "headers `Deprecation` and `Sunset`."
)
HTML = "text/html"
DESCRIPTION, PAGE = "/openapi.json", "/docs"
KEPT_A_DAY = {"Cache-Control": "public, max-age=86400"}
# Of the page: without the internet, too.
SCRIPT, STYLE = "swagger-ui-bundle.js", "swagger-ui.css"
ASSETS = {SCRIPT: "text/javascript", STYLE: "text/css"}
# What scripts of the page see, tokens too, they can send to this server only.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'unsafe-inline'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def router(server: Server, description: Callable[[], Mapping[str, Any]], version: str) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/", response_model=Root)
    def root() -> Response:
        """The version, and the paths of this server."""
        data = {"version": version, "endpoints": sorted(description()["paths"])}
        document = enveloped(server.now(), TITLE, data)
        return Response(orjson.dumps(document), media_type=JSON)

    @routes.get(PAGE, include_in_schema=False)
    def page() -> Response:
        """The description as a page for browsers, which can make the calls, too."""
        found = get_swagger_ui_html(
            openapi_url=DESCRIPTION,
            title=TITLE,
            swagger_js_url=f"{PAGE}/{SCRIPT}",
            swagger_css_url=f"{PAGE}/{STYLE}",
            swagger_favicon_url="data:,",
        )
        found.headers["Content-Security-Policy"] = POLICY
        return found

    @routes.get(f"{PAGE}/{{asset}}", include_in_schema=False)
    def asset(asset: str) -> Response:
        """A script or style of the page."""
        if asset not in ASSETS:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        content = files(fastapi_swagger).joinpath("resources", asset).read_bytes()
        return Response(content, media_type=ASSETS[asset], headers=KEPT_A_DAY)

    @routes.get("/api/docs", include_in_schema=False)
    def description_or_page(request: Request) -> Response:
        """The description as JSON, or the page for a browser."""
        if preferred(request.headers.get("accept", ""), (JSON, HTML)) == HTML:
            return page()
        body = orjson.dumps(description())
        return Response(body, HTTPStatus.OK, media_type=JSON, headers={"Vary": "Accept"})

    return routes
