"""A Redis that a test may kill, cut and stop; its data is gone each time."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from servers import await_redis, free_port, redis_binary


class OwnRedis:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(redis_binary()), "--port", str(self._port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--dir", self._folder]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        await_redis(self.url)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def pause(self) -> None:
        """It takes everything and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def cut_subscriptions(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.client_kill_filter(_type="pubsub")

    def cut_all(self) -> None:
        """End every connection but the one that asks for it."""
        with redis.Redis.from_url(self.url) as client:
            client.client_kill_filter(skipme=True)


@contextmanager
def own_redis() -> Iterator[OwnRedis]:
    with tempfile.TemporaryDirectory() as folder:
        server = OwnRedis(folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()
