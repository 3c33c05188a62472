"""The check that a response belongs to the world of this process.

The paper exchange marks each of its responses. Everything of this package that sends an HTTP
request, whatever the dataset, passes the headers of the response here before it uses the body.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from data_fetch.core.errors import WrongWorld
from data_fetch.core.world import PAPER_MARK, World


@dataclass(frozen=True, slots=True)
class WorldCheck:
    """Refuses the responses of the other world. *setting* names the host of the requests."""

    world: World
    setting: str

    def check(self, url: str, headers: Mapping[str, str]) -> None:
        """Raise WrongWorld when the response from *url* is not of this world.

        *headers* finds a name in any spelling, as those of urllib3 and requests do.
        """
        marked = PAPER_MARK in headers
        if marked and self.world is World.LIVE:
            raise WrongWorld(
                f"{_host(url)} is a paper exchange: its prices are invented, and the live world "
                "takes real ones only",
                hint=f"Unset {self.setting} or point it at the provider; for invented prices set "
                "DATA_SOURCE=paper.",
            )
        if not marked and self.world is World.PAPER:
            raise WrongWorld(
                f"{_host(url)} is no paper exchange of this version, and the paper world takes "
                "invented prices only",
                hint=f"Unset {self.setting} or point it at a paper exchange (`data-fetch "
                "paper-exchange` starts one); for real prices set DATA_SOURCE=upstox.",
            )


def _host(url: str) -> str:
    """Scheme and host of *url*: an account before the host and the query stay out of messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
