"""What every answer with data has, and the body of a refusal."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

CompletenessState = Literal["complete", "pending", "degraded", "missing", "unknown"]


class Answer(BaseModel):
    """A body; members may be added."""

    model_config = ConfigDict(extra="allow")


class Completeness(Answer):
    """How much of what was asked for is there.

    `complete`: all of it. `pending`: the rest is still to come. `degraded`: a part is missing.
    `missing`: nothing is there. `unknown`: no expectation exists. Counts are minutes, days, slots
    or legs, as `of` names them.
    """

    state: CompletenessState
    of: str
    expected: int | None
    present: int | None
    missing: int | None
    pending: int | None


class Reason(Answer):
    """Why something is missing or not known: a stable `code`, how often, and a sentence."""

    code: str
    count: int
    detail: str


class DataAnswer(Answer):
    """What every answer with data has.

    `as_of` is the instant of the answer, `staleness_seconds` the age of its newest row then,
    `degraded` what the server goes on without. `unit` is that of quantities. `truncated`: rows are
    left out; `next` is the path that goes on.
    """

    as_of: datetime
    source: str | None
    unit: str | None
    staleness_seconds: float | None
    degraded: str | None
    completeness: Completeness
    reasons: list[Reason]
    truncated: bool
    next: str | None


class ValidationFault(Answer):
    loc: list[str | int]
    msg: str
    type: str


class Problem(Answer):
    """A refusal (RFC 9457). `error` has the text of `detail`; `code` is stable, `then` the fix,
    `near` the nearest symbols, `instance` the request id."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error: str
    code: str
    then: str
    near: Annotated[list[str], Field(default_factory=list)]
    errors: Annotated[list[ValidationFault], Field(default_factory=list)]
