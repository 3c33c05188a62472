"""Which web pages may use the server from a browser."""

from urllib.parse import urlsplit

from data_fetch.serving.server import Server

LOCAL_HOSTS = ("localhost", "127.0.0.1")


def is_allowed(server: Server, origin: str | None) -> bool:
    """Whether a page of *origin* may; None, which is sent by programs, always may.

    On loopback pages of this machine may: from a file (their origin is `null`) and from any
    local port. Everywhere those that the settings list.
    """
    if origin is None or origin in server.settings.cors_origins:
        return True
    if not server.on_loopback:
        return False
    if origin == "null":
        return True
    parts = urlsplit(origin)
    return parts.scheme == "http" and parts.hostname in LOCAL_HOSTS
