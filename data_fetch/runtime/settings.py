"""The configuration of this process."""

import os
from pathlib import Path

from data_fetch.core.files import close_to_others
from data_fetch.core.settings import Settings


def process_settings() -> Settings:
    """The configuration of this process in its working folder."""
    settings = Settings.load(os.environ, Path.cwd())
    # It may have the token and passwords.
    close_to_others(settings.env_file)
    return settings
