"""Settings: sources, defaults, validation, secrets."""

import re
from datetime import time
from pathlib import Path

import pytest

from data_fetch.core.errors import SettingsInvalid
from data_fetch.core.settings import Settings
from data_fetch.core.world import World


def load(folder: Path, **environment: str) -> Settings:
    return Settings.load(environment, folder)


@pytest.mark.parametrize(
    ("environment", "source", "world"),
    [
        pytest.param({}, "paper", World.PAPER, id="nothing set: the paper exchange"),
        pytest.param({"UPSTOX_ACCESS_TOKEN": "t"}, "upstox", World.LIVE, id="a token: Upstox"),
        pytest.param(
            {"UPSTOX_ACCESS_TOKEN": "t", "DATA_SOURCE": "paper"},
            "paper",
            World.PAPER,
            id="DATA_SOURCE before the token",
        ),
        pytest.param(
            {"UPSTOX_BASE_URL": "http://127.0.0.1:9", "DATA_SOURCE": "upstox"},
            "upstox",
            World.LIVE,
            id="the address does not decide the world",
        ),
        pytest.param({"DATA_SOURCE": "UPSTOX"}, "upstox", World.LIVE, id="any case"),
        pytest.param({"UPSTOX_ACCESS_TOKEN": " "}, "paper", World.PAPER, id="blank is not set"),
    ],
)
def test_the_source_decides_the_world(
    tmp_path: Path, environment: dict[str, str], source: str, world: World
) -> None:
    settings = load(tmp_path, **environment)

    assert (settings.data_source, settings.world) == (source, world)


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        pytest.param({}, "sqlite:///{folder}/data/paper.db", id="nothing: SQLite of the world"),
        pytest.param(
            {"DATA_SOURCE": "upstox"}, "sqlite:///{folder}/data/market.db", id="live SQLite"
        ),
        pytest.param({"DATABASE_URL": "sqlite:////x/y.db"}, "sqlite:////x/y.db", id="as given"),
        pytest.param(
            {"POSTGRES_HOST": "h", "POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p@ss/word"},
            "postgresql://u:p%40ss%2Fword@h:5432/market_data",
            id="parts, the password escaped",
        ),
        pytest.param(
            {"DB_HOST": "h", "DB_PORT": "5433", "DB_NAME": "finns_auto", "DB_USER": "me"},
            "postgresql://me@h:5433/finns_auto",
            id="the older names",
        ),
        pytest.param(
            {"DATABASE_URL": "sqlite:///a.db", "POSTGRES_HOST": "h"},
            "sqlite:///a.db",
            id="DATABASE_URL before the parts",
        ),
    ],
)
def test_the_url_of_the_store(tmp_path: Path, environment: dict[str, str], url: str) -> None:
    assert load(tmp_path, **environment).store_url == url.format(folder=tmp_path)


def test_the_environment_has_precedence_and_the_origin_of_the_token_is_known(
    tmp_path: Path,
) -> None:
    (tmp_path / ".env").write_text("\ufeffUPSTOX_ACCESS_TOKEN=from-file\nLOG_LEVEL=debug\n")

    from_file = load(tmp_path)
    from_environment = load(tmp_path, UPSTOX_ACCESS_TOKEN="from-environment")

    assert from_file.access_token.get_secret_value() == "from-file"
    assert (from_file.token_in_environment, from_file.log_level) == (False, "DEBUG")
    assert from_environment.access_token.get_secret_value() == "from-environment"
    assert from_environment.token_in_environment is True


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        load(
            tmp_path,
            UPSTOX_BASE_URL="api.upstox.com",
            POSTGRES_PORT="many",
            LOG_LEVEL="loud",
            DATA_SOURCE="yahoo",
        )

    named = str(raised.value)
    assert len(raised.value.problems) == 4
    assert all(
        name in named for name in ("UPSTOX_BASE_URL", "POSTGRES_PORT", "LOG_LEVEL", "DATA_SOURCE")
    )


def test_problems_are_a_list(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        load(tmp_path, UPSTOX_BASE_URL="api.upstox.com", PAPER_SEED="-1")

    assert str(raised.value) == (
        "Invalid configuration. Fix these in .env or the environment:\n"
        "  - UPSTOX_BASE_URL: is not an http(s) address\n"
        "  - PAPER_SEED: Input should be greater than or equal to 0"
    )


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        pytest.param("UPSTOX_BASE_URL", "pw-4711", "is not an http", id="no address"),
        pytest.param("UPSTOX_BASE_URL", "ftp://u:pw-4711@h", "is not an http", id="scheme"),
        pytest.param("UPSTOX_BASE_URL", "http://u:pw-4711@h", "may not contain a", id="an account"),
        pytest.param(
            "UPSTOX_BASE_URL", "http://u:pw-4711", "has an impossible host", id="half an account"
        ),
        pytest.param(
            "UPSTOX_BASE_URL", "http://[pw-4711]", "has an impossible host", id="brackets"
        ),
        pytest.param("REDIS_URL", "http://:pw-4711@h", "is not a redis", id="Redis: scheme"),
        pytest.param("REDIS_URL", "pw-4711", "is not a redis", id="Redis: no address"),
        pytest.param("REDIS_URL", "redis://h:pw-4711", "has an impossible host", id="Redis: port"),
    ],
)
def test_an_invalid_address_is_not_in_the_message(
    tmp_path: Path, name: str, value: str, problem: str
) -> None:
    with pytest.raises(SettingsInvalid, match=f"{name}: {problem}") as raised:
        load(tmp_path, **{name: value})

    assert "4711" not in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "finalise_at"),
    [
        pytest.param({}, time(20, 0), id="by default"),
        pytest.param({"FINALISE_AT": "07:05"}, time(7, 5), id="as chosen"),
    ],
)
def test_the_time_of_finalising(
    tmp_path: Path, environment: dict[str, str], finalise_at: time
) -> None:
    assert load(tmp_path, **environment).finalise_at == finalise_at


@pytest.mark.parametrize("written", ["24:00", "8:30", "20:00:30", "20.00", "20:00+05:30"])
def test_other_texts_are_no_time_of_day(tmp_path: Path, written: str) -> None:
    with pytest.raises(SettingsInvalid, match="FINALISE_AT: is not a time of day like 20:00"):
        load(tmp_path, FINALISE_AT=written)


@pytest.mark.parametrize("url", ["redis://h", "rediss://:p@h:6380/1", "unix:///run/redis.sock"])
def test_valid_redis_addresses(tmp_path: Path, url: str) -> None:
    found = load(tmp_path, REDIS_URL=url).redis_url

    assert found is not None
    assert found.get_secret_value() == url


@pytest.mark.parametrize(
    ("environment", "secrets"),
    [
        pytest.param({}, (), id="none"),
        pytest.param({"UPSTOX_ACCESS_TOKEN": " tok "}, ("tok",), id="the token"),
        pytest.param(
            {"POSTGRES_HOST": "h", "POSTGRES_PASSWORD": "p@ss"}, ("p%40ss", "p@ss"), id="parts"
        ),
        pytest.param(
            {"DATABASE_URL": "postgresql://u:p%40ss@h/d"}, ("p%40ss", "p@ss"), id="DATABASE_URL"
        ),
        pytest.param({"DATABASE_URL": "postgresql://u:p/a?s#s@h/d"}, ("p/a?s#s",), id="odd signs"),
        pytest.param(
            {"DATABASE_URL": "postgresql://h/d?password=p%2Fw&sslpassword=key"},
            ("p%2Fw", "p/w", "key"),
            id="in the query",
        ),
        pytest.param({"REDIS_URL": "redis://:word@h:6379/0"}, ("word",), id="REDIS_URL"),
        pytest.param(
            {"REDIS_URL": "redis://:one@two@h"}, ("one", "one@two", "two"), id="with an @ in it"
        ),
        pytest.param(
            {"UPSTOX_INSTRUMENTS_URL": "https://u:word@h/f"}, ("word",), id="the master's address"
        ),
    ],
)
def test_the_secrets_that_logs_mask(
    tmp_path: Path, environment: dict[str, str], secrets: tuple[str, ...]
) -> None:
    assert load(tmp_path, **environment).secrets() == tuple(sorted(secrets))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "redis://:S3cret/Tail99@h:6379"),
        ("REDIS_URL", "redis://u:12/Tail99@h:6379"),
        ("UPSTOX_BASE_URL", "http://u:12/Tail99@h"),
        ("NSE_BASE_URL", "http://u:S3cret@Tail99@h"),
    ],
)
def test_an_address_whose_password_ends_too_early_is_refused(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(SettingsInvalid, match=name) as raised:
        load(tmp_path, **{name: value})

    assert not {"S3cret", "Tail99"} & set(re.split(r"\W", str(raised.value)))


def test_secrets_are_in_no_repr_and_no_error(tmp_path: Path) -> None:
    secrets = {
        "UPSTOX_ACCESS_TOKEN": "tok-4711",
        "DATABASE_URL": "postgresql://u:pw-4711@h/db",
        "REDIS_URL": "redis://:pw-4711@h",
        "UPSTOX_INSTRUMENTS_URL": "https://u:pw-4711@h/NSE.json.gz?signature=4711",
    }

    assert "4711" not in repr(load(tmp_path, **secrets))
    with pytest.raises(SettingsInvalid) as raised:
        load(tmp_path, POSTGRES_PORT="pw-4711", **secrets)
    assert "4711" not in str(raised.value)


@pytest.mark.parametrize("name", ["MONGODB_URI", "MONGO_URL"])
def test_the_name_of_a_mongo_address_is_reported(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, **{name: "mongodb://h"}).ignored_mongo_name == name


def test_an_unreadable_env_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"UPSTOX_ACCESS_TOKEN=\xff\xfe\x00abc")

    with pytest.raises(SettingsInvalid, match=r"\.env cannot be read"):
        load(tmp_path)
