"""The first line of each command that stores: which world, and which setting decided it."""

from data_fetch.cli.shared.output import remark
from data_fetch.core.settings import Settings
from data_fetch.runtime.settings import process_settings


def settings_to_store() -> Settings:
    """The configuration of this process, after its world and its doubts were printed."""
    settings = process_settings()
    for line in settings.notices:
        remark(line)
    return settings
