"""Sends messages through apprise, to each address alone, so that each has a result of its own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from apprise import Apprise, NotifyBase, NotifyFormat, NotifyType
from apprise.result import AppriseResultStatus

from data_fetch.core.alerts import RECOVERED, AlertAddress, Severity
from data_fetch.core.errors import SetupError
from data_fetch.core.text import presentable

# An address that answers more slowly has not accepted the message.
SEND_SECONDS = 20.0
NO_ANSWER = f"no answer within {SEND_SECONDS:.0f} s"
KINDS = {
    RECOVERED: NotifyType.SUCCESS,
    str(Severity.INFO): NotifyType.INFO,
    str(Severity.WARNING): NotifyType.WARNING,
    str(Severity.CRITICAL): NotifyType.FAILURE,
}
MASK = "***"


@dataclass(frozen=True, slots=True)
class Channel:
    """An address to send to. *name* is the address without its secrets, *minimum* the lowest
    severity that it gets."""

    name: str
    minimum: Severity
    _service: NotifyBase = field(repr=False)
    _secrets: tuple[str, ...] = field(repr=False, default=())

    def send(self, kind: str, title: str, text: str) -> str | None:
        """Send a message. Returns why it was not accepted; None when it was."""
        apprise = Apprise()
        apprise.add(self._service)
        result = apprise.notify(
            body=text,
            title=title,
            notify_type=KINDS[kind],
            body_format=NotifyFormat.TEXT,
            timeout=SEND_SECONDS,
        )
        if result:
            return None
        if result.status is AppriseResultStatus.TIMEOUT:
            return NO_ANSWER
        reasons = "; ".join(dict.fromkeys(each.message.rstrip(".") for each in result.logs()))
        return presentable(self._masked(reasons)) or "not accepted"

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text


def channels_at(addresses: Sequence[AlertAddress]) -> list[Channel]:
    """A channel for each address. Raises SetupError for one that apprise does not know."""
    names: Counter[str] = Counter()
    return [_channel(number, each, names) for number, each in enumerate(addresses, 1)]


def _channel(number: int, address: AlertAddress, names: "Counter[str]") -> Channel:
    service = Apprise.instantiate(address.url, suppress_exceptions=True)
    if not isinstance(service, NotifyBase):
        raise SetupError(
            f"ALERT_URLS: address {number} ({urlsplit(address.url).scheme}://) is none that "
            "apprise can send to",
            hint="The forms are in its documentation, one page for each service.",
        )
    name = _without_secrets(service)
    names[name] += 1
    if names[name] > 1:
        name = f"{name} ({names[name]})"
    secrets = sorted(set(address.secrets()), key=len, reverse=True)
    return Channel(name, address.minimum, service, tuple(secrets))


def _without_secrets(service: NotifyBase) -> str:
    """Its scheme and host as apprise shows them in private; of a webhook the folder may be a
    secret too."""
    parts = urlsplit(str(service.url(privacy=True)))  # type: ignore[no-untyped-call]
    return f"{parts.scheme}://{parts.netloc}"
