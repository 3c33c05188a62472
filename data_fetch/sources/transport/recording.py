"""A piece of work for a provider that keeps what came over the wire, usable or not."""

from dataclasses import dataclass, field

from data_fetch.core.chains.chains import RawResponse
from data_fetch.sources.transport.retrying import RequestContext


@dataclass(slots=True)
class RecordingRequestContext(RequestContext):
    """An errand whose *raw_responses* are all bodies that were received on the way, in order."""

    raw_responses: list[RawResponse] = field(default_factory=list)
