"""The configuration of this process."""

import os
from pathlib import Path

from data_fetch.core.settings import Settings


def process_settings() -> Settings:
    """The configuration of this process in its working folder."""
    return Settings.load(os.environ, Path.cwd())
