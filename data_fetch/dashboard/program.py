"""Runs the dashboard in this process, without telemetry and without anything from the internet."""

from pathlib import Path

from streamlit.web import bootstrap

SCRIPT = Path(__file__).with_name("app.py")


def run(host: str, port: int) -> None:
    """Serve the pages on *port* of *host* until SIGINT or SIGTERM."""
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "logger.level": "warning",
        "logger.hideWelcomeMessage": True,
    }
    bootstrap.load_config_options(options)
    bootstrap.run(str(SCRIPT), False, [], options)
