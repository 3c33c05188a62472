"""Addresses of alerts: how they are separated, and what of them is secret."""

from pathlib import Path

import pytest

from data_fetch.core.alerts import Severity, alert_addresses
from data_fetch.core.errors import SettingsInvalid
from data_fetch.core.settings import Settings

TOKEN = "123456789:AAFxyz_0123456789-abcdef"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("", [], id="none"),
        pytest.param("json://a/x", [("json://a/x", "info")], id="one"),
        pytest.param(
            "json://a/x, json://b/y\n slack://c",
            [("json://a/x", "info"), ("json://b/y", "info"), ("slack://c", "info")],
            id="separated by commas, blanks and lines",
        ),
        pytest.param(
            "mailto://u:p@h?to=a@h,b@h,json://b",
            [("mailto://u:p@h?to=a@h,b@h", "info"), ("json://b", "info")],
            id="a comma inside an address",
        ),
        pytest.param(
            "critical=json://a warning=json://b",
            [("json://a", "critical"), ("json://b", "warning")],
            id="with the lowest severity",
        ),
    ],
)
def test_addresses_of_a_text(text: str, found: list[tuple[str, str]]) -> None:
    assert [(each.url, str(each.minimum)) for each in alert_addresses(text)] == found


@pytest.mark.parametrize("text", [TOKEN, f"loud=tgram://{TOKEN}/1", f"json://a {TOKEN}"])
def test_what_is_no_address_is_refused_without_being_shown(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        Settings.load({"ALERT_URLS": text}, tmp_path)

    assert "ALERT_URLS: address" in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_an_address_and_its_long_parts_are_secrets(tmp_path: Path) -> None:
    url = f"tgram://{TOKEN}/12315544"
    settings = Settings.load({"ALERT_URLS": f"critical={url}"}, tmp_path)

    assert {url, TOKEN, TOKEN.split(":")[1]} <= set(settings.secrets())
    assert "12315544" not in settings.secrets()
    assert TOKEN not in repr(settings)
    assert [each.minimum for each in settings.alert_urls] == [Severity.CRITICAL]
