"""A session with NSE's website that looks like a browser's and reads within bounds.

Importing this module imports `requests`, which takes a tenth of a second.
"""

from collections.abc import Mapping
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from data_fetch.sources.transport.bounded import TIMED_POOLS


class _TimedAdapter(HTTPAdapter):
    """Every response, headers included, ends within the timeout of its request."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = TIMED_POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.ProxyManager:
        manager: urllib3.ProxyManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = TIMED_POOLS
        return manager


def browser_session(headers: Mapping[str, str], use_proxies: bool) -> requests.Session:
    """A new session that sends *headers* with every request; with *use_proxies* through the
    proxies that the environment names."""
    session = requests.Session()
    session.headers.update(headers)
    session.trust_env = use_proxies
    for scheme in ("https://", "http://"):
        session.mount(scheme, _TimedAdapter())
    return session
