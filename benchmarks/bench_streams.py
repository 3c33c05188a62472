"""Streams to a room of 500 clients, beside the libraries' own ways.

What counts is the processor time of the server for a delivery: the clients share the machine with
it. STREAM_MINUTES=10 measures the stalled clients for that long instead of a minute.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from statistics import median, quantiles

from benchmarks.figure import Figure
from benchmarks.stream_clients import Crowd

CLIENTS, MESSAGES, ROUNDS = 500, 20, 7
STALLED, LARGE = 50, 50_000
SMALL = 150
# A stalled client is disconnected after ten seconds, so a round is shorter.
ROUND_SECONDS, PAUSE_SECONDS = 8.0, 0.5


def measure() -> Iterator[Figure]:
    return iter(asyncio.run(_measured()))


async def _measured() -> list[Figure]:
    return [*await _room_of_500(), *await _with_stalled_clients()]


async def _room_of_500() -> list[Figure]:
    async with (
        _server("ours") as ours,
        _server("emit") as emit,
        _server("broadcast") as broadcast,
    ):
        doors = (
            (ours, "websocket"),
            (ours, "socketio"),
            (emit, "socketio"),
            (broadcast, "websocket"),
        )
        rounds = [[await _cost(server, door) for server, door in doors] for _ in range(ROUNDS)]
    plain, socketio, bare_emit, bare_broadcast = (
        median(each) for each in zip(*rounds, strict=True)
    )
    detail = (
        f"us a delivery: /ws {plain:.1f}, Socket.IO {socketio:.1f}, emit {bare_emit:.1f}, "
        f"broadcast {bare_broadcast:.1f}"
    )
    return [
        Figure("room of 500, Socket.IO", bare_emit / socketio, "of bare emit", least=0.8,
               detail=detail),
        Figure("room of 500, /ws", bare_broadcast / plain, "of broadcast", least=0.8),
        Figure("room of 500, /ws", bare_emit / plain, "x bare emit", least=4),
        Figure("room of 500, /ws", socketio / plain, "x Socket.IO"),
    ]  # fmt: skip


async def _cost(server: "_Measured", door: str) -> float:
    """Microseconds of the server's processor for one delivery."""
    crowd = Crowd(server.port, door, CLIENTS)
    await crowd.connect()
    # A new client may get what was sent before.
    await asyncio.sleep(0.5)
    crowd.messages = 0
    before, _ = await server.state()
    for _ in range(MESSAGES):
        await server.send(SMALL)
        await crowd.all_have(1)
    after, _ = await server.state()
    crowd.close()
    await asyncio.sleep(0.2)
    return (after - before) / MESSAGES / CLIENTS * 1e6


async def _with_stalled_clients() -> list[Figure]:
    rounds = max(4, round(float(os.environ.get("STREAM_MINUTES", "1")) * 60 / ROUND_SECONDS / 2))
    alone: list[list[float]] = []
    beside: list[list[float]] = []
    memory: list[int] = []
    async with _server("ours") as server:
        for _ in range(rounds):
            alone.append(await _latencies(server, 0))
            beside.append(await _latencies(server, STALLED))
            memory.append((await server.state())[1])
    first = max(1, round(60 / ROUND_SECONDS / 2) - 1) if len(memory) > 8 else 1
    ratio = median(_p99(b) / _p99(a) for a, b in zip(alone, beside, strict=True))
    detail = (
        f"p99 {_p99([*chain(*beside)]) * 1e3:.0f} ms, without stalled ones "
        f"{_p99([*chain(*alone)]) * 1e3:.0f} ms; {rounds} rounds of {ROUND_SECONDS:.0f} s"
    )
    return [
        Figure("50 of 500 stalled, 50 kB: others' p99", ratio, "x alone", bound=1.2,
               detail=detail),
        Figure("50 of 500 stalled, 50 kB: memory", memory[-1] / memory[first], "x of early",
               bound=1.1, detail=f"{memory[first] // 1024} MB, then {memory[-1] // 1024} MB"),
    ]  # fmt: skip


async def _latencies(server: "_Measured", stalled: int) -> list[float]:
    """Seconds from sending to receiving, of the healthy clients."""
    healthy = Crowd(server.port, "websocket", CLIENTS - STALLED)
    mute = Crowd(server.port, "websocket", stalled)
    await healthy.connect()
    await mute.connect(reading=False)
    await asyncio.sleep(0.5)
    healthy.messages, healthy.seconds = 0, []
    for _ in range(int(ROUND_SECONDS / PAUSE_SECONDS)):
        await server.send(LARGE)
        await healthy.all_have(1)
        await asyncio.sleep(PAUSE_SECONDS / 2)
    for crowd in (healthy, mute):
        crowd.close()
    await asyncio.sleep(0.2)
    return healthy.seconds


def _p99(values: Sequence[float]) -> float:
    return quantiles(values, n=100)[98]


@dataclass
class _Measured:
    process: asyncio.subprocess.Process
    port: int

    async def send(self, size: int) -> None:
        await self._asked(str(size))

    async def state(self) -> tuple[float, int]:
        """Processor seconds, and kilobytes in memory."""
        cpu, memory = (await self._asked("cpu")).split()
        return float(cpu), int(memory)

    async def _asked(self, order: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{order}\n".encode())
        return (await self.process.stdout.readline()).decode()


@asynccontextmanager
async def _server(kind: str) -> AsyncIterator[_Measured]:
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.stream_server", kind, folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdin is not None
        yield _Measured(process, int(await process.stdout.readline()))
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
