"""The archiver of a collector: a process of its own, so that its work delays no slot."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from data_fetch.core.settings import Settings
from data_fetch.scheduling.companions import Companion, beside

ARCHIVER = (sys.executable, "-m", "data_fetch", "archive", "run", "--with-parent")
# Workers see to the days.
SHARING_ARCHIVER = (*ARCHIVER, "--distributed")
# What is in its way, a database that is away for example, may be gone then.
RESTART_SECONDS = 60.0


def archiving(
    settings: Settings, report: Callable[[str], None], command: tuple[str, ...] = ARCHIVER
) -> AbstractContextManager[None]:
    """Let an archiver run beside the body; it reports what stops it on standard error.

    Without `settings.archive_enabled` there is none.
    """
    if not settings.archive_enabled:
        return nullcontext()
    archiver = Companion(
        name="The archiver",
        command=command,
        first_wait=RESTART_SECONDS,
        longest_wait=RESTART_SECONDS,
    )
    return beside(archiver, report)
