"""The dashboard as an application for a server, without telemetry and without anything from the
internet."""

from pathlib import Path

from starlette.types import ASGIApp
from streamlit.starlette import App
from streamlit.web import bootstrap

from data_fetch.dashboard.desk import Desk, use
from data_fetch.dashboard.door import Door
from data_fetch.dashboard.porter import Porter
from data_fetch.dashboard.same_origin import SameOrigin

SCRIPT = Path(__file__).parent / "script" / "view.py"
OPTIONS = {
    "server.headless": True,
    "server.fileWatcherType": "none",
    # Its own check of origins asks an address service on the internet; ours is before it.
    "server.enableCORS": False,
    "server.enableXsrfProtection": False,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "logger.level": "warning",
}


def application(desk: Desk) -> ASGIApp:
    """The pages of *desk*, for accounts where it needs them. One a process.

    Raises SetupError when there is no usable secret to sign their tokens with.
    """
    use(desk)
    bootstrap.load_config_options(OPTIONS)
    app: ASGIApp = App(SCRIPT)
    if desk.settings.needs_authentication:
        app = Door(app, Porter(desk.settings, desk.kept))
    return SameOrigin(app, desk.settings)
