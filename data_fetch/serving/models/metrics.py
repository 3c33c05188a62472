"""The clients of streams, as the older streaming backend counts them."""

from pydantic import Field

from data_fetch.serving.models.shared import Answer


class StreamClients(Answer):
    """How many clients there are, and how many in each room."""

    total_clients: int = Field(examples=[3])
    rooms: dict[str, int] = Field(examples=[{"general": 3, "product:NIFTY": 1}])
