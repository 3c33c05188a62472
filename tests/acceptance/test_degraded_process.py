"""A collector whose PostgreSQL is away when it starts, and comes back."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from programs import SYMBOLS, Desk, end, paper_exchange
from servers import LOOPBACK
from sqlalchemy import func, make_url, select

from data_fetch.core.clock import MINUTE
from data_fetch.core.world import World
from data_fetch.storage.database.store import open_store
from data_fetch.storage.database.tables import LtpData, SyncRunRow

pytestmark = pytest.mark.long


class Line:
    """A line to a server, which is cut until `connect`; its port is there all the time."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._connected = Event()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        Thread(target=self._serve, daemon=True).start()

    def connect(self) -> None:
        self._connected.set()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._connected.is_set():
                client.close()
                continue
            server = socket.create_connection(self._server)
            for pair in ((client, server), (server, client)):
                Thread(target=_pass_on, args=pair, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


@contextmanager
def line_to(url: str) -> Iterator[tuple[Line, str]]:
    parsed = make_url(url)
    line = Line((parsed.host or LOOPBACK, parsed.port or 5432))
    try:
        yield line, parsed.set(host=LOOPBACK, port=line.port).render_as_string(False)
    finally:
        line.close()


def remark_with(process: "subprocess.Popen[str]", words: str) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"it ended without {words!r}")


def read_slots(process: "subprocess.Popen[str]", count: int) -> None:
    assert process.stdout is not None
    for _ in range(count):
        assert process.stdout.readline()


@pytest.mark.parametrize("back", ["while it runs", "before the next start"])
def test_what_was_collected_meanwhile_is_brought_over(
    tmp_path: Path, empty_postgres_url: str, back: str
) -> None:
    folder = tmp_path / "collector"
    folder.mkdir()
    with (
        paper_exchange(tmp_path, "2026-09-16T09:15:50", speed=30) as url,
        line_to(empty_postgres_url) as (line, through),
    ):
        desk = Desk.at(folder, DATA_SOURCE="paper", UPSTOX_BASE_URL=url, DATABASE_URL=through)
        process = desk.start("run")
        remark_with(process, "WARNING")
        read_slots(process, 2)
        assert desk.json("status")["state"] == "degraded"
        if back == "before the next start":
            end(process, signal.SIGKILL)
            line.connect()
            waiting = desk.json("status")
            assert waiting["state"] == "degraded"
            assert "rows wait" in waiting["degraded"]
            process = desk.start("run")
        else:
            line.connect()
        remark_with(process, "All rows are brought over")
        read_slots(process, 2)
        end(process, signal.SIGTERM)
        status = desk.json("status")

    assert (process.returncode, status["state"]) == (0, "ok")
    with closing(open_store(empty_postgres_url, World.PAPER)) as store:
        quotes = select(SyncRunRow.due_slot, SyncRunRow.outcome).where(SyncRunRow.job == "quotes")
        with store.reading() as connection:
            runs = connection.execute(quotes.order_by(SyncRunRow.due_slot)).all()
            rows = dict(
                connection.execute(
                    select(LtpData.timestamp, func.count()).group_by(LtpData.timestamp)
                ).all()
            )
    slots = [slot for slot, _ in runs]
    assert slots == [slots[0] + n * MINUTE for n in range(len(slots))]
    collected = [slot for slot, outcome in runs if outcome == "completed"]
    assert rows == dict.fromkeys(collected, len(SYMBOLS))
    assert len(collected) >= 2
