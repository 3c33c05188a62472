"""The socket of a server."""

import asyncio
import socket

from data_fetch.cli.shared.server_process import listener_on


def test_small_messages_are_sent_at_once() -> None:
    """Otherwise the body of an answer waits until the head is acknowledged: 40 ms."""

    async def accepted() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            of = writer.get_extra_info("socket")
            found.set_result(of.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        with listener_on("127.0.0.1", 0) as listener:
            server = await asyncio.start_server(look, sock=listener)
            async with server:
                _, writer = await asyncio.open_connection(*listener.getsockname())
                try:
                    return await found
                finally:
                    writer.close()

    assert asyncio.run(accepted()) == 1
