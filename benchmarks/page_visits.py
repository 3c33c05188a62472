"""Sessions of a dashboard as browsers have them: the WebSocket of Streamlit, without drawing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

# A page that is drawn sends within them; longer than any script takes on a busy machine.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a page's script: *seconds* from the request to its end, the *sent* bytes, and the
    *texts* of what it sent, for a look at what is shown."""

    seconds: float
    sent: int
    texts: str


class Visit:
    """A session of *page* ("option-chain?symbol=NIFTY") on *connection*."""

    def __init__(self, connection: ClientConnection, page: str) -> None:
        self._connection = connection
        self._page, _, self._query = page.partition("?")
        self._known: set[str] = set()
        self._live: dict[str, float] = {}

    def open(self) -> Run:
        """Let the page be made as for a browser that opens its address."""
        self.ask_for_page()
        return self.finished()

    def refresh(self) -> Run:
        """Let every live part be made once more, as the timers of a browser do."""
        runs = []
        for part in list(self._live):
            self.ask_for_part(part)
            runs.append(self.finished())
        return Run(
            sum(each.seconds for each in runs),
            sum(each.sent for each in runs),
            "".join(each.texts for each in runs),
        )

    def ask_for_page(self) -> None:
        self._ask(BackMsg())

    def ask_for_part(self, part: str) -> None:
        wanted = BackMsg()
        wanted.rerun_script.fragment_id = part
        wanted.rerun_script.is_auto_rerun = True
        self._ask(wanted)

    @property
    def live_parts(self) -> list[str]:
        """The parts that a browser asks for again and again."""
        return list(self._live)

    def _ask(self, wanted: BackMsg) -> None:
        state = wanted.rerun_script
        state.page_name, state.query_string = self._page, self._query
        state.cached_message_hashes.extend(sorted(self._known))
        self._began = perf_counter()
        self._connection.send(wanted.SerializeToString())

    def finished(self) -> Run:
        """Everything up to the end of the run that was asked for."""
        sent: list[bytes] = []
        while True:
            data = self._connection.recv(PATIENCE_SECONDS)
            assert isinstance(data, bytes)
            sent.append(data)
            message = ForwardMsg.FromString(data)
            kind = message.WhichOneof("type")
            if message.metadata.cacheable:
                self._known.add(message.hash)
            if kind == "auto_rerun":
                self._live[message.auto_rerun.fragment_id] = message.auto_rerun.interval
            if kind == "script_finished":
                assert message.script_finished in ENDED_WELL, message
                return Run(
                    perf_counter() - self._began,
                    sum(map(len, sent)),
                    b"".join(sent).decode("utf-8", "replace"),
                )


ENDED_WELL = (
    ForwardMsg.FINISHED_SUCCESSFULLY,
    ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY,
)


@contextmanager
def visit(url: str, page: str) -> Iterator[Visit]:
    """A session with the dashboard at *url* ("http://127.0.0.1:8501")."""
    address = url.replace("http", "ws", 1) + "/_stcore/stream"
    # What is sent is counted, so it is not compressed; the product does not compress either.
    with connect(
        address, subprotocols=["streamlit"], compression=None, max_size=None, open_timeout=60
    ) as connection:
        yield Visit(connection, page)
