"""What a process reports to the service manager that has started it: systemd's `sd_notify`.

Each report is one datagram to the socket that NOTIFY_SOCKET names. Where that is not set, no
service manager listens and nothing is sent.
"""

import logging
import os
import socket
from datetime import timedelta

log = logging.getLogger("data_fetch.service_manager")

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def status(text: str) -> str:
    """The report that shows *text* in `systemctl status`, on one line."""
    return f"STATUS={' '.join(text.split())}"


def notify(*reports: str) -> None:
    """Send *reports* together. One that cannot be sent is logged, and the work goes on."""
    name = os.environ.get("NOTIFY_SOCKET")
    if not name:
        return
    # A leading @ stands for the zero byte of the abstract namespace.
    address = f"\0{name[1:]}" if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            # A service manager that reads nothing must not hold up its services.
            channel.setblocking(False)
            channel.sendto("\n".join(reports).encode(), address)
    except OSError as problem:
        log.warning("not_notified", extra={"reports": reports, "problem": str(problem)})


def sign_interval() -> timedelta | None:
    """How often this process has to report that it is ALIVE, in real time: twice in the time after
    which it is restarted. None where no service manager counts on it.

    Raises ValueError when WATCHDOG_USEC is no number.
    """
    allowed = os.environ.get("WATCHDOG_USEC")
    own = str(os.getpid())
    if not allowed or os.environ.get("WATCHDOG_PID", own) != own:
        return None
    return timedelta(microseconds=int(allowed)) / 2
