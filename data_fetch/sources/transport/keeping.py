"""A piece of work for a provider that keeps what came over the wire, usable or not."""

from dataclasses import dataclass, field

from data_fetch.core.chains.chains import Payload
from data_fetch.sources.transport.retrying import Errand


@dataclass(slots=True)
class KeepingErrand(Errand):
    """An errand whose *payloads* are all bodies that were received on the way, in order."""

    payloads: list[Payload] = field(default_factory=list)
