"""Settings: names, defaults, sources and validation.

Values are read from the process environment, then from `.env` in the working folder. All
problems are reported at once. Secrets are `SecretStr`: printing does not show them.

Without a source, a token and an app the paper exchange is used. A name or a file by which one of
them was probably meant is a problem then, and a warning otherwise.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import time
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, quote, unquote, unquote_plus, urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from data_fetch.core.alerts import AlertAddress, alert_addresses
from data_fetch.core.env_file import misplaced_env_files, read_env_file
from data_fetch.core.errors import SettingsInvalid
from data_fetch.core.freshness import FreshnessRules
from data_fetch.core.setting_names import API_KEY, SOURCE, TOKEN, meant_settings
from data_fetch.core.text import listed_names, symbol_form
from data_fetch.core.world import World

UPSTOX_URL = "https://api.upstox.com"
NSE_URL = "https://www.nseindia.com"
INSTRUMENTS_URL = "https://assets.upstox.com/market-quote/instruments/exchange/NSE.json.gz"
MONGO_NAMES = ("MONGODB_URI", "MONGO_URL")


# A URL has its password before the host, or among the parameters.
PASSWORD = re.compile(r"://[^:/@]*:(.*)@|[?&]\w*(?:password|secret)=([^&#]*)")
ENCODED = "write @ as %40, / as %2F and : as %3A in it"

# In place of a URL: the configured store.
THE_STORE = "store"
POSTGRES_SCHEMES = frozenset({"postgres", "postgresql", "postgresql+psycopg2"})
REDIS_SCHEMES = frozenset({"redis", "rediss", "unix"})

TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def _split(url: str) -> SplitResult:
    """The parts of *url*. The errors of `urlsplit` would quote what may be a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(f"has an impossible host or port (of a password: {ENCODED})") from None
    return parts


def _is_http(url: str) -> str:
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("is not an http(s) address")
    if "@" in url:
        raise ValueError("may not contain a user name or password")
    return url.rstrip("/")


def _is_redirect(url: str) -> str:
    # As written: it must equal the registered one to the last slash.
    _is_http(url)
    return url


def _is_redis(url: SecretStr) -> SecretStr:
    parts = _split(url.get_secret_value())
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise ValueError(f"has a password that ends too early: {ENCODED}")
    if parts.scheme not in REDIS_SCHEMES:
        raise ValueError("is not a redis://, rediss:// or unix:// address")
    return url


def _are_windows(given: SecretStr) -> SecretStr:
    """Check the place of the rate windows: `store`, a PostgreSQL or a Redis."""
    scheme = _split(given.get_secret_value()).scheme
    if given.get_secret_value() == THE_STORE or scheme in POSTGRES_SCHEMES:
        return given
    if scheme not in REDIS_SCHEMES:
        raise ValueError("is neither `store` nor the address of a Redis or a PostgreSQL")
    return _is_redis(given)


def _is_time(value: object) -> time:
    """Parse a time of day: HH:MM, nothing else."""
    if not TIME_OF_DAY.fullmatch(str(value)):
        raise ValueError("is not a time of day like 20:00")
    return time.fromisoformat(str(value))


def _are_symbols(value: object) -> tuple[str, ...]:
    """Parse trading symbols separated by commas: in capitals, each once."""
    listed = value if isinstance(value, tuple) else listed_names(str(value))
    return tuple(dict.fromkeys(filter(None, map(symbol_form, filter(None, listed)))))


def _are_origins(value: object) -> tuple[str, ...]:
    """Parse origins of web pages separated by commas: `https://host[:port]`."""
    listed = value if isinstance(value, tuple) else listed_names(str(value))
    origins = tuple(each.strip().rstrip("/") for each in listed if each.strip())
    for origin in origins:
        parts = _split(origin)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path:
            raise ValueError(f"{origin!r} is not an origin like https://desk.example.com")
    return origins


def _are_alert_addresses(value: object) -> tuple[AlertAddress, ...]:
    """Parse addresses of apprise, separated by blanks or commas."""
    return value if isinstance(value, tuple) else alert_addresses(str(value))


AddressList = Annotated[tuple[AlertAddress, ...], BeforeValidator(_are_alert_addresses)]
SymbolList = Annotated[tuple[str, ...], BeforeValidator(_are_symbols)]
OriginList = Annotated[tuple[str, ...], BeforeValidator(_are_origins)]
DayTime = Annotated[time, BeforeValidator(_is_time)]
HttpUrl = Annotated[str, AfterValidator(_is_http)]
RedirectUrl = Annotated[str, AfterValidator(_is_redirect)]
WindowsUrl = Annotated[SecretStr, AfterValidator(_are_windows)]
RedisUrl = Annotated[SecretStr, AfterValidator(_is_redis)]


def env(name: str, *also: str) -> AliasChoices:
    return AliasChoices(name, *also)


class Settings(BaseModel):
    """The configuration of one process, in one world."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    folder: Path
    token_in_environment: bool = False
    world_reason: str = ""
    warnings: tuple[str, ...] = ()
    ignored_mongo_name: str | None = None

    data_source: Literal["upstox", "nse", "paper"] = Field(validation_alias=env("DATA_SOURCE"))
    access_token: SecretStr = Field(
        default=SecretStr(""), validation_alias=env("UPSTOX_ACCESS_TOKEN")
    )
    api_key: str = Field(default="", repr=False, validation_alias=env("UPSTOX_API_KEY"))
    api_secret: SecretStr = Field(default=SecretStr(""), validation_alias=env("UPSTOX_API_SECRET"))
    redirect_uri: RedirectUrl | None = Field(
        default=None, validation_alias=env("UPSTOX_REDIRECT_URI")
    )
    user_id: str = Field(default="", validation_alias=env("UPSTOX_USER_ID"))
    base_url: HttpUrl | None = Field(default=None, validation_alias=env("UPSTOX_BASE_URL"))
    instruments_url: str | None = Field(
        default=None, repr=False, validation_alias=env("UPSTOX_INSTRUMENTS_URL")
    )
    request_timeout_seconds: int = Field(
        default=10, ge=1, le=120, validation_alias=env("REQUEST_TIMEOUT_SECONDS")
    )
    symbols_file: Path | None = Field(default=None, validation_alias=env("FNO_SYMBOLS_FILE"))
    calendar_override: Path | None = Field(default=None, validation_alias=env("CALENDAR_OVERRIDE"))
    feed_enabled: bool = Field(default=False, validation_alias=env("FEED_ENABLED"))
    feed_recording_days: int = Field(
        default=0, ge=0, le=3650, validation_alias=env("FEED_RECORDING_DAYS")
    )

    refresh_interval: int | None = Field(
        default=None, ge=5, le=3600, validation_alias=env("REFRESH_INTERVAL")
    )
    nse_base_url: HttpUrl | None = Field(default=None, validation_alias=env("NSE_BASE_URL"))
    nse_enabled: bool = Field(default=True, validation_alias=env("NSE_ENABLED"))
    nse_fetch_interval: float | None = Field(
        default=None, gt=0, le=3600, validation_alias=env("NSE_FETCH_INTERVAL")
    )
    nse_symbols: SymbolList = Field(default=(), validation_alias=env("NSE_SYMBOLS"))
    raw_vault_days: int = Field(default=7, ge=0, validation_alias=env("RAW_VAULT_DAYS"))

    archive_enabled: bool = Field(default=True, validation_alias=env("ARCHIVE_ENABLED"))
    archive_folder: Path | None = Field(default=None, validation_alias=env("ARCHIVE_FOLDER"))
    hot_chain_days: int = Field(default=7, ge=0, validation_alias=env("HOT_CHAIN_DAYS"))
    hot_quote_days: int = Field(default=90, ge=0, validation_alias=env("HOT_QUOTE_DAYS"))
    hot_candle_days: int = Field(default=0, ge=0, validation_alias=env("HOT_CANDLE_DAYS"))

    database_url: SecretStr | None = Field(default=None, validation_alias=env("DATABASE_URL"))
    postgres_host: str | None = Field(
        default=None, validation_alias=env("POSTGRES_HOST", "DB_HOST")
    )
    postgres_port: int = Field(
        default=5432, ge=1, le=65535, validation_alias=env("POSTGRES_PORT", "DB_PORT")
    )
    postgres_db: str = Field(default="market_data", validation_alias=env("POSTGRES_DB", "DB_NAME"))
    postgres_user: str = Field(default="postgres", validation_alias=env("POSTGRES_USER", "DB_USER"))
    postgres_password: SecretStr = Field(
        default=SecretStr(""), validation_alias=env("POSTGRES_PASSWORD", "DB_PASSWORD")
    )
    redis_url: RedisUrl | None = Field(default=None, validation_alias=env("REDIS_URL"))
    rate_windows_url: WindowsUrl | None = Field(
        default=None, validation_alias=env("RATE_WINDOWS_URL")
    )
    redis_prefix: str = Field(
        default="", pattern=r"^[A-Za-z0-9_.-]*$", validation_alias=env("REDIS_PREFIX")
    )

    celery_broker_url: RedisUrl | None = Field(
        default=None, validation_alias=env("CELERY_BROKER_URL")
    )
    celery_result_backend: RedisUrl | None = Field(
        default=None, validation_alias=env("CELERY_RESULT_BACKEND")
    )

    api_host: str = Field(default="127.0.0.1", validation_alias=env("API_HOST"))
    api_port: int = Field(default=8000, ge=0, le=65535, validation_alias=env("API_PORT"))
    stream_port: int = Field(default=8002, ge=0, le=65535, validation_alias=env("STREAM_PORT"))
    dashboard_port: int = Field(
        default=8501, ge=0, le=65535, validation_alias=env("DASHBOARD_PORT")
    )
    api_authentication: Literal["on", "off"] | None = Field(
        default=None, validation_alias=env("API_AUTHENTICATION")
    )
    jwt_secret: SecretStr = Field(default=SecretStr(""), validation_alias=env("JWT_SECRET"))
    password_min_length: int | None = Field(
        default=None, ge=8, le=128, validation_alias=env("PASSWORD_MIN_LENGTH")
    )
    public_delay_minutes: int = Field(
        default=15, ge=0, le=10_080, validation_alias=env("PUBLIC_DELAY_MINUTES")
    )
    api_rate_limit: int | None = Field(
        default=None, ge=0, le=10_000_000, validation_alias=env("API_RATE_LIMIT")
    )
    cors_origins: OriginList = Field(default=(), validation_alias=env("CORS_ORIGINS"))

    stale_after_minutes: int = Field(default=5, ge=1, validation_alias=env("STALE_AFTER_MINUTES"))
    frozen_after_slots: int = Field(default=10, ge=2, validation_alias=env("FROZEN_AFTER_SLOTS"))
    alert_urls: AddressList = Field(default=(), repr=False, validation_alias=env("ALERT_URLS"))
    finalise_at: DayTime = Field(default=time(20, 0), validation_alias=env("FINALISE_AT"))
    paper_seed: int = Field(default=1, ge=0, validation_alias=env("PAPER_SEED"))
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", validation_alias=env("LOG_LEVEL")
    )

    @model_validator(mode="before")
    @classmethod
    def _choose_source(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The default source is Upstox with a token or an app, else the paper exchange."""
        chosen = "upstox" if values.get(TOKEN) or values.get(API_KEY) else "paper"
        level = str(values.get("LOG_LEVEL", "INFO")).upper()
        source = str(values.get("DATA_SOURCE", chosen)).lower()
        return {**values, "DATA_SOURCE": source, "LOG_LEVEL": level}

    @property
    def world(self) -> World:
        return World.PAPER if self.data_source == "paper" else World.LIVE

    @property
    def notices(self) -> list[str]:
        """Lines for people before anything is stored: the world and why it is this one, and
        names that are nearly settings."""
        prices = "invented prices" if self.world is World.PAPER else "real prices"
        world = f"World     {self.world} ({prices}): {self.world_reason}"
        return [world, *(f"Warning: {each}" for each in self.warnings)]

    @property
    def data_folder(self) -> Path:
        return self.folder / "data"

    @property
    def raw_folder(self) -> Path:
        """The folder of the raw responses of one world."""
        return self.data_folder / "vault" / self.world

    @property
    def feed_folder(self) -> Path:
        """The folder of the recordings of the feed of one world."""
        return self.data_folder / "feed" / self.world

    @property
    def log_folder(self) -> Path:
        return self.folder / "logs"

    @property
    def freshness_rules(self) -> FreshnessRules:
        return FreshnessRules(
            stale_after=self.stale_after_minutes, frozen_after=self.frozen_after_slots
        )

    @property
    def on_loopback(self) -> bool:
        """Whether only programs of this machine can reach the servers."""
        if self.api_host == "localhost":
            return True
        try:
            return ip_address(self.api_host).is_loopback
        except ValueError:
            return False

    @property
    def needs_authentication(self) -> bool:
        """Whether a request needs a token or an API key."""
        if self.api_authentication is None:
            return not self.on_loopback
        return self.api_authentication == "on"

    @property
    def env_file(self) -> Path:
        return self.folder / ".env"

    @property
    def login_file(self) -> Path:
        """The file of the token that `data-fetch login` got for this world."""
        return self.data_folder / f"upstox_login_{self.world}.json"

    @property
    def tick_file(self) -> Path:
        """The file of the newest ticks of this world's feed."""
        return self.data_folder / f"ticks_{self.world}.json"

    @property
    def has_feed(self) -> bool:
        """Whether a collector receives the streaming feed; NSE's site has none."""
        return self.feed_enabled and self.data_source != "nse"

    @property
    def store_url(self) -> str:
        """The database to use. May hold a password: never print it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        if self.postgres_host is not None:
            user = quote(self.postgres_user, safe="")
            password = quote(self.postgres_password.get_secret_value(), safe="")
            account = f"{user}:{password}" if password else user
            where = f"{self.postgres_host}:{self.postgres_port}"
            if "@" in where or "/" in where:
                raise SettingsInvalid(["POSTGRES_HOST: is not the name of a host"])
            return f"postgresql://{account}@{where}/{quote(self.postgres_db, safe='')}"
        return self.embedded_store_url

    @property
    def embedded_store_url(self) -> str:
        """The SQLite file of this world, under the working folder."""
        name = "paper.db" if self.world is World.PAPER else "market.db"
        return f"sqlite:///{self.data_folder / name}"

    @property
    def stand_in_url(self) -> str:
        """The SQLite file that `run` collects into while the configured store cannot be used."""
        return f"sqlite:///{self.data_folder / f'{self.world}-stand-in.db'}"

    def secrets(self) -> tuple[str, ...]:
        """Every string that no log may show: the token, and all passwords as written and
        decoded."""
        own = (self.access_token, self.api_secret, self.postgres_password, self.jwt_secret)
        servers = (
            self.redis_url,
            self.rate_windows_url,
            self.celery_broker_url,
            self.celery_result_backend,
        )
        urls = (self.store_url, self.instruments_url or "", *map(_revealed, servers))
        found = {secret.get_secret_value().strip() for secret in own}
        for url in urls:
            found.update(passwords_in(url))
        for address in self.alert_urls:
            found.update(passwords_in(address.url), address.secrets())
        return tuple(sorted(found - {""}))

    @classmethod
    def load(cls, environment: Mapping[str, str], folder: Path) -> Self:
        """The settings of a process working in *folder*.

        Raises SettingsInvalid, naming every problem and never a secret's value.
        """
        env_file = folder / ".env"
        in_file = read_env_file(env_file)
        # An empty value in the environment means "not set", as in most programs.
        in_environment = {name: value for name, value in environment.items() if value.strip()}
        merged = {**in_file, **in_environment}
        meant = meant_settings(merged, SETTING_NAMES)
        deciding = [name for name in meant if meant[name] in WORLD_SETTINGS]
        problems: list[str] = []
        if merged.keys().isdisjoint(WORLD_SETTINGS):
            problems = [_unknown(name, meant[name]) for name in deciding] + _misplaced(folder)
            meant = {name: meant[name] for name in meant if name not in deciding}
        try:
            settings = cls.model_validate(
                {
                    **merged,
                    "folder": folder,
                    "token_in_environment": "UPSTOX_ACCESS_TOKEN" in in_environment,
                    "ignored_mongo_name": next((n for n in MONGO_NAMES if n in merged), None),
                    "world_reason": _world_reason(in_file, in_environment, env_file),
                    "warnings": tuple(_unknown(name, meant[name]) for name in meant),
                }
            )
        except ValidationError as invalid:
            raise SettingsInvalid(
                problems
                + [
                    f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}"
                    for e in invalid.errors()
                ]
            ) from None
        problems += settings._unshared_windows()
        if problems:
            raise SettingsInvalid(problems)
        return settings

    def _unshared_windows(self) -> list[str]:
        """The problem of rate windows in a store that no other machine can use."""
        if _revealed(self.rate_windows_url) != THE_STORE:
            return []
        if self.store_url.partition("://")[0] in POSTGRES_SCHEMES:
            return []
        return [
            "RATE_WINDOWS_URL: the store is a SQLite file, which other machines cannot use: name "
            "a PostgreSQL in DATABASE_URL, or a Redis here"
        ]


# Every name by which a setting can be given.
SETTING_NAMES = frozenset(
    str(name)
    for field in Settings.model_fields.values()
    if isinstance(field.validation_alias, AliasChoices)
    for name in field.validation_alias.choices
)
WORLD_SETTINGS = frozenset({SOURCE, TOKEN, API_KEY})
IF_PAPER = f"For invented prices set {SOURCE}=paper"


def _unknown(name: str, meant: str) -> str:
    why = f" {IF_PAPER}" if meant in WORLD_SETTINGS else ""
    return f"{name} is no setting: did you mean {meant}?{why}"


def _misplaced(folder: Path) -> list[str]:
    """Files by which settings were probably given, in a folder without `.env`."""
    return [
        f"{found} is not read: settings belong into {folder / '.env'}. {IF_PAPER}"
        for found in misplaced_env_files(folder)
        if found.parent == folder or _decides_a_world(found)
    ]


def _decides_a_world(env_file: Path) -> bool:
    """Whether the `.env` of another folder chooses a world; False when it cannot be read."""
    try:
        names = read_env_file(env_file)
    except SettingsInvalid:
        return False
    meant = meant_settings(names, SETTING_NAMES)
    return not WORLD_SETTINGS.isdisjoint([*names, *meant.values()])


def _world_reason(
    in_file: Mapping[str, str], in_environment: Mapping[str, str], env_file: Path
) -> str:
    """Which setting decides the world, and where it is set."""
    places = {"the environment": in_environment, str(env_file): in_file}
    for name in (SOURCE, TOKEN, API_KEY):
        place = next((place for place, values in places.items() if name in values), None)
        if place is not None:
            shown = f"{SOURCE}={places[place][SOURCE]}" if name == SOURCE else name
            return f"{shown} is set in {place}"
    file = str(env_file) if env_file.exists() else f"{env_file}, which does not exist,"
    return f"neither {SOURCE} nor {TOKEN} is set in {file} or in the environment"


def passwords_in(url: str) -> Iterator[str]:
    """The passwords in *url*, each as written and decoded, and the parts of one with an @ in it:
    a reader of such a URL may take any @ for the end."""
    for found in PASSWORD.finditer(url):
        whole = found[1] or found[2] or ""
        for written in (whole, *(whole.split("@") if found[1] else ())):
            yield from (written, unquote(written), unquote_plus(written))


def _revealed(secret: SecretStr | None) -> str:
    return "" if secret is None else secret.get_secret_value()
