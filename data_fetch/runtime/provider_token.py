"""The access tokens of a process: the configured one, and that of the last login."""

from urllib.parse import urlsplit

from data_fetch.core.settings import UPSTOX_URL, Settings
from data_fetch.core.world import World
from data_fetch.sources.upstox.login_file import LoginFile
from data_fetch.sources.upstox.token import TokenKeeper

# The paper exchange has no accounts: it accepts any token that begins like this.
PAPER_TOKEN = "paper-analytics"  # noqa: S105 - opens nothing
NOT_NEEDED = "none needed on the paper exchange"


def token_of(settings: Settings) -> TokenKeeper:
    """The token to send; a paper exchange that we start never receives a real one."""
    if settings.world is World.PAPER and settings.base_url is None:
        return TokenKeeper(PAPER_TOKEN, env_file=None, in_environment=False)
    own = settings.access_token.get_secret_value()
    fallback = PAPER_TOKEN if settings.world is World.PAPER else ""
    return TokenKeeper(
        own or fallback,
        env_file=settings.env_file,
        in_environment=settings.token_in_environment,
        logins=login_file(settings, settings.base_url or UPSTOX_URL),
    )


def login_file(settings: Settings, base_url: str) -> LoginFile:
    """Where the last login at the host of *base_url* is stored."""
    return LoginFile(settings.login_file, urlsplit(base_url).netloc)
