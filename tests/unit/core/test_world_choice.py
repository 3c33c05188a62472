"""Which world is chosen and why, and names that are nearly settings."""

from pathlib import Path

import pytest

from data_fetch.core.errors import SettingsInvalid
from data_fetch.core.setting_names import meant_settings
from data_fetch.core.settings import SETTING_NAMES, Settings

TOKEN, SOURCE = "UPSTOX_ACCESS_TOKEN", "DATA_SOURCE"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *((name, TOKEN) for name in (
            "UPSTOX_TOKEN", "UPSTOX_ACCESS_TOKN", "ACCESS_TOKEN", "UPSTOX_ACESS_TOKEN",
            "upstox_access_token", "UPSTOX-ACCESS-TOKEN", "UPSTOXACCESSTOKEN", "UPSTOKS_TOKEN",
            "UPSTOX_API_TOKEN", "UPSTOX_ANALYTICS_TOKEN", "ACCESSTOKEN",
            "UPSTOX_ACCESS_TOKEN_", "UPSTOCKS_ACCESS_TOKEN",
        )),
        ("DATASOURCE", SOURCE),
        ("DATA_SOURC", SOURCE),
        ("data_source", SOURCE),
        ("DATABASE_URI", "DATABASE_URL"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("UPSTOX_BASE_URI", "UPSTOX_BASE_URL"),
        ("NSE_SYMBOL", "NSE_SYMBOLS"),
        ("POSTGRES_PASWORD", "POSTGRES_PASSWORD"),
    ],
)  # fmt: skip
def test_a_name_that_is_nearly_a_setting(name: str, meant: str) -> None:
    assert meant_settings([name], SETTING_NAMES) == {name: meant}


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "HOME",
        "GITHUB_ACCESS_TOKEN",
        "AWS_ACCESS_KEY_ID",
        "GITHUB_TOKEN",
        "LANG",
        "PYTHONPATH",
        "DB_USERNAME",
        "PGPASSWORD",
        "DOCKER_HOST",
        "GOOGLE_ACCESS_TOKEN",
        "XDG_DATA_HOME",
        "TOKEN",
    ],
)
def test_a_name_of_another_program(name: str) -> None:
    assert meant_settings([name], SETTING_NAMES) == {}


def test_the_right_name_beside_it_settles_it() -> None:
    assert (
        meant_settings(["UPSTOX_API_TOKEN", "DATABASE_URI", TOKEN, "DATABASE_URL"], SETTING_NAMES)
        == {}
    )


@pytest.mark.parametrize("name", ["UPSTOX_TOKEN", "UPSTOX_ACCESS_TOKN", "DATASOURCE"])
@pytest.mark.parametrize("in_file", [True, False])
def test_a_token_under_another_name_never_means_the_paper_world(
    tmp_path: Path, name: str, in_file: bool
) -> None:
    environment = {}
    if in_file:
        (tmp_path / ".env").write_text(f"{name}=upstox-4711\n")
    else:
        environment[name] = "upstox-4711"

    with pytest.raises(SettingsInvalid, match=f"{name} is no setting: did you mean") as raised:
        Settings.load(environment, tmp_path)

    assert "? For invented prices set DATA_SOURCE=paper" in str(raised.value)
    assert "4711" not in str(raised.value)


@pytest.mark.parametrize("chosen", [{"DATA_SOURCE": "paper"}, {"DATA_SOURCE": "upstox"}])
def test_with_a_source_it_is_a_warning(tmp_path: Path, chosen: dict[str, str]) -> None:
    settings = Settings.load({"UPSTOX_TOKEN": "x", **chosen}, tmp_path)

    [warning] = settings.warnings
    assert "UPSTOX_TOKEN is no setting: did you mean UPSTOX_ACCESS_TOKEN?" in warning
    assert settings.notices[1] == f"Warning: {warning}"


def test_other_names_are_warnings_in_either_world(tmp_path: Path) -> None:
    [warning] = Settings.load({"DATABASE_URI": "x"}, tmp_path).warnings

    assert warning == "DATABASE_URI is no setting: did you mean DATABASE_URL?"


@pytest.mark.parametrize("name", [".env.txt", "env", "_env", ".env.env", "Env.TXT"])
def test_a_misnamed_env_file_never_means_the_paper_world(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("UPSTOX_ACCESS_TOKEN=x\n")

    with pytest.raises(SettingsInvalid, match="is not read: settings belong into"):
        Settings.load({}, tmp_path)

    assert Settings.load({"DATA_SOURCE": "paper"}, tmp_path).warnings == ()
    (tmp_path / ".env").write_text("LOG_LEVEL=INFO\n")
    assert Settings.load({}, tmp_path).data_source == "paper"


@pytest.mark.parametrize("line", ["UPSTOX_ACCESS_TOKEN=x", "DATA_SOURCE=upstox", "UPSTOX_TOKEN=x"])
def test_the_env_file_of_the_folder_above_is_not_passed_over(tmp_path: Path, line: str) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / ".env").write_text(f"{line}\n")

    with pytest.raises(SettingsInvalid, match="is not read: settings belong into"):
        Settings.load({}, tmp_path / "below")


@pytest.mark.parametrize("content", [b"COMPOSE_PROJECT=x\n", b"not ours\n", b"\xff\xfe"])
def test_unless_it_belongs_to_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / ".env").write_bytes(content)

    assert Settings.load({}, tmp_path / "below").data_source == "paper"


@pytest.mark.parametrize(
    ("in_file", "environment", "line"),
    [
        ("", {}, "paper (invented prices): neither DATA_SOURCE nor UPSTOX_ACCESS_TOKEN is set in "
         "{env} or in the environment"),
        (None, {}, "paper (invented prices): neither DATA_SOURCE nor UPSTOX_ACCESS_TOKEN is set in "
         "{env}, which does not exist, or in the environment"),
        ("UPSTOX_ACCESS_TOKEN=x", {}, "live (real prices): UPSTOX_ACCESS_TOKEN is set in {env}"),
        ("UPSTOX_ACCESS_TOKEN=x", {"DATA_SOURCE": "paper"},
         "paper (invented prices): DATA_SOURCE=paper is set in the environment"),
        ("DATA_SOURCE=nse", {}, "live (real prices): DATA_SOURCE=nse is set in {env}"),
    ],
)  # fmt: skip
def test_the_first_line_has_the_world_and_why(
    tmp_path: Path, in_file: str | None, environment: dict[str, str], line: str
) -> None:
    if in_file is not None:
        (tmp_path / ".env").write_text(in_file)

    [first] = Settings.load(environment, tmp_path).notices

    assert first == "World     " + line.format(env=tmp_path / ".env")
