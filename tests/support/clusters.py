"""PostgreSQL servers that a test may kill, copy and promote."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from effort import PATIENCE_SECONDS
from servers import CARELESS, LOOPBACK, free_port, server_user

INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


@dataclass
class Cluster:
    """A server with its data in *data*, and the programs to handle it in *binaries*."""

    binaries: Path
    data: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{LOOPBACK}:{self.port}/postgres"

    def start(self, *settings: str) -> None:
        chosen = [*CARELESS, f"port={self.port}", f"listen_addresses={LOOPBACK}"]
        options = " ".join(
            f"-c {each}" for each in (*chosen, "unix_socket_directories=", *settings)
        )
        log = self.data.with_suffix(".log")
        self.run("pg_ctl", "-D", self.data, "-w", "-l", log, "-o", options, "start")

    def kill(self) -> None:
        self.run("pg_ctl", "-D", self.data, "-w", "-m", "immediate", "stop")

    def standby(self) -> "Cluster":
        """A started copy that follows this server."""
        copy = Cluster(self.binaries, self.data.with_name("standby"), free_port())
        self.run(
            "pg_basebackup", "-d", self.url, "-D", copy.data, "-R", "-c", "fast", "-X", "stream"
        )
        copy.start()
        return copy

    def promote(self) -> None:
        self.run("pg_ctl", "-D", self.data, "-w", "promote")

    def run(self, program: str, *arguments: str | Path) -> None:
        subprocess.run(
            [self.binaries / program, *arguments],
            user=server_user(),
            cwd=self.data.parent,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_SECONDS,
        )


@contextmanager
def own_cluster(*settings: str) -> Iterator[Cluster]:
    """A started server of the test's own; it, and a standby, are gone afterwards."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        user = server_user()
        if user is not None:
            subprocess.run(["chown", user, folder], check=True)
        cluster = Cluster(INSTALLED[0], folder / "primary", free_port())
        cluster.run("initdb", "-D", cluster.data, "-U", "postgres", "-A", "trust", "--no-sync")
        cluster.start(*settings)
        try:
            yield cluster
        finally:
            for data in (folder / "primary", folder / "standby"):
                if (data / "postmaster.pid").exists():
                    Cluster(INSTALLED[0], data, 0).kill()
