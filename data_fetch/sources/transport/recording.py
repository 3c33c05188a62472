"""A request context that records the raw responses."""

from dataclasses import dataclass, field

from data_fetch.core.chains.chains import RawResponse
from data_fetch.sources.transport.retrying import RequestContext


@dataclass(slots=True)
class RecordingRequestContext(RequestContext):
    """A context with all *raw_responses* that were received so far, usable or not, in order."""

    raw_responses: list[RawResponse] = field(default_factory=list)
