"""The dashboard as an application for a server, without telemetry and without anything from the
internet."""

from pathlib import Path

from starlette.types import ASGIApp
from streamlit.starlette import App
from streamlit.web import bootstrap

from data_fetch.core.settings import Settings
from data_fetch.dashboard.desk import Desk, use
from data_fetch.dashboard.door import Door
from data_fetch.dashboard.porter import Porter
from data_fetch.dashboard.same_origin import SameOrigin
from data_fetch.reading.kept_open import KeptOpen

SCRIPT = Path(__file__).parent / "script" / "view.py"
OPTIONS = {
    "server.headless": True,
    "server.fileWatcherType": "none",
    # Its own check of origins asks an address service on the internet; ours is before it.
    "server.enableCORS": False,
    "server.enableXsrfProtection": False,
    # It would look through every object of the process after every run, which takes longer than
    # most runs; Python collects by itself.
    "runner.postScriptGC": False,
    "browser.gatherUsageStats": False,
    # Red means a loss on these pages; text of this colour is readable on its own tint.
    "theme.light.primaryColor": "#1d4ed8",
    "theme.dark.primaryColor": "#8ab4f8",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "logger.level": "warning",
}


def application(settings: Settings, *, may_control: bool) -> ASGIApp:
    """The pages over the store of *settings*, for accounts where they are needed. One a process.

    *may_control* is whether pages may start, pause and resume backfills. Raises SetupError when
    there is no usable secret to sign the tokens of accounts with.
    """
    kept = KeptOpen()
    porter = Porter(settings, kept) if settings.needs_authentication else None
    use(Desk(settings, may_control, porter, kept))
    bootstrap.load_config_options(OPTIONS)
    app: ASGIApp = App(SCRIPT)
    if porter is not None:
        app = Door(app, porter)
    return SameOrigin(app, settings)
