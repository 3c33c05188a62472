"""Accounts over HTTP, and what is decided on a request before a route runs."""

import json
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import urllib3
from account_shelf import PASSWORD, SECRET, accounts_in
from effort import PATIENCE_SECONDS
from served import Served, served
from servers import DatabaseCopies
from sqlalchemy import select

from data_fetch.core.accounts.accounts import Role, Scope
from data_fetch.core.settings import Settings
from data_fetch.core.world import World
from data_fetch.storage.accounts import account_events
from data_fetch.storage.database.store import Store, open_store

TEXT, WHOLE, YES = str, int, bool
SIGNED_IN = {
    "message": TEXT, "token": TEXT, "refresh_token": TEXT, "token_type": TEXT,
    "expires_in": WHOLE, "user": dict,
}  # fmt: skip
USER = {"id": TEXT, "email": TEXT, "name": TEXT, "role": TEXT}
PROBLEM = {
    "type": TEXT, "title": TEXT, "status": WHOLE, "detail": TEXT, "instance": TEXT,
    "error": TEXT, "code": TEXT, "then": TEXT, "near": list, "errors": list,
}  # fmt: skip
ASHA = {"email": "asha@example.com", "password": PASSWORD, "name": "Asha Rao"}
# The member that only a part of the refusals has.
NOT_VALID = PROBLEM | {"valid": YES}


@dataclass
class Door:
    """A server, and the store that its accounts are in."""

    served: Served
    store: Store

    def call(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        body: bytes | None = None,
        token: str | None = None,
        **headers: str,
    ) -> urllib3.BaseHTTPResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if document is not None:
            body = json.dumps(document).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        return urllib3.request(
            method, f"{self.served.url}{path}", body=body, headers=sent,
            timeout=PATIENCE_SECONDS, retries=False,
        )  # fmt: skip

    def key(self, email: str, *scopes: Scope) -> str:
        return accounts_in(self.store).add_key(email, "a bot", scopes).secret


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


def opened(url: str, folder: Path, **settings: str) -> Iterator[Door]:
    """A server over the store at *url*, with the accounts of a user, a public one and an admin."""
    store = open_store(url, World.LIVE)
    accounts = accounts_in(store)
    for role in Role:
        accounts.add(f"{role}@example.com", role.title(), PASSWORD, role)
    given = {"DATA_SOURCE": "upstox", "DATABASE_URL": url, "JWT_SECRET": SECRET.decode()}
    with served(Settings.load({**given, **settings}, folder)) as server:
        yield Door(server, store)
    store.close()


def audit_of(url: str) -> list[Any]:
    """The audit of a server that has ended: it stores the last refusals then."""
    with closing(open_store(url, World.LIVE)) as store, store.reading() as connection:
        return list(connection.execute(select(account_events)))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def open_door(request: pytest.FixtureRequest, folder: Path) -> Iterator[Door]:
    """On loopback: open for reading."""
    if request.param == "sqlite":
        yield from opened(f"sqlite:///{folder / 'open.db'}", folder)
        return
    copies: DatabaseCopies = request.getfixturevalue("postgres_copies")
    with copies.one() as url:
        yield from opened(url, folder)


@pytest.fixture(scope="module")
def closed_door(folder: Path) -> Iterator[Door]:
    """As other machines reach it: a name that is not loopback, credentials required."""
    url = f"sqlite:///{folder / 'closed.db'}"
    yield from opened(url, folder, API_HOST="192.0.2.10", CORS_ORIGINS="https://desk.example.com")


def has(document: Any, shape: dict[str, type]) -> bool:
    return document.keys() == shape.keys() and all(
        type(document[name]) is of for name, of in shape.items()
    )


def signed_in(door: Door, role: Role = Role.USER) -> Any:
    answer = door.call(
        "POST", "/api/auth/login", {"email": f"{role}@example.com", "password": PASSWORD}
    )
    assert answer.status == 200, answer.data
    return answer.json()


# --- the four calls -----------------------------------------------------------------------


def test_register_sign_in_verify_refresh(open_door: Door) -> None:
    registered = open_door.call("POST", "/api/auth/register", ASHA | {"email": " Asha@Example.com"})
    login = open_door.call("POST", "/api/auth/login", ASHA)
    verified = open_door.call("POST", "/api/auth/verify", token=login.json()["token"])
    refreshed = open_door.call(
        "POST", "/api/auth/refresh", {"refresh_token": login.json()["refresh_token"]}
    )
    bearer = open_door.call("POST", "/api/auth/refresh", token=refreshed.json()["refresh_token"])

    assert [each.status for each in (registered, login, verified, refreshed, bearer)] == [
        201, 200, 200, 200, 200,
    ]  # fmt: skip
    for answer in (registered, login, refreshed, bearer):
        assert has(answer.json(), SIGNED_IN)
        assert has(answer.json()["user"], USER)
        assert answer.json()["user"]["email"] == "asha@example.com"
        assert answer.json()["user"]["role"] == "user"
        assert answer.json()["expires_in"] == 86_400
        assert answer.headers["Cache-Control"] == "no-store"
    assert verified.json() == {
        "valid": True,
        "user_id": login.json()["user"]["id"],
        "email": "asha@example.com",
    }


@pytest.mark.parametrize(
    ("path", "sent", "status", "code"),
    [
        pytest.param("register", {}, 400, "account_invalid", id="register without members"),
        pytest.param(
            "register", ASHA | {"password": "short12"}, 400, "account_invalid", id="short password"
        ),
        pytest.param("register", ASHA | {"email": "no"}, 400, "account_invalid", id="no address"),
        pytest.param("register", ASHA | {"name": " "}, 400, "account_invalid", id="no name"),
        pytest.param(
            "register", ASHA | {"email": "user@example.com"}, 409, "account_exists", id="exists"
        ),
        pytest.param("register", ASHA | {"email": 5}, 422, "invalid", id="a number"),
        pytest.param("register", ASHA | {"email": None}, 422, "invalid", id="null"),
        pytest.param("register", [ASHA], 422, "invalid", id="a list"),
        pytest.param("login", {}, 400, "account_invalid", id="login without members"),
        pytest.param(
            "login", {"email": "user@example.com"}, 400, "account_invalid", id="no password"
        ),
        pytest.param(
            "login", {"email": "user@example.com", "password": "wrong"}, 401, "sign_in_failed",
            id="wrong password",
        ),
        pytest.param(
            "login", {"email": "nobody@example.com", "password": "wrong"}, 401, "sign_in_failed",
            id="unknown address",
        ),
        pytest.param(
            "login", {"email": "x\x00@y", "password": "\x00"}, 401, "sign_in_failed", id="null byte"
        ),
        pytest.param("refresh", {}, 401, "token_invalid", id="no refresh token"),
        pytest.param("refresh", {"refresh_token": "x"}, 401, "token_invalid", id="a made-up one"),
        pytest.param("refresh", {"refresh_token": 1}, 422, "invalid", id="a refresh number"),
    ],
)  # fmt: skip
def test_what_the_calls_refuse(
    open_door: Door, path: str, sent: Any, status: int, code: str
) -> None:
    answer = open_door.call("POST", f"/api/auth/{path}", sent)

    assert (answer.status, answer.json()["code"]) == (status, code)
    assert has(answer.json(), PROBLEM)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_wrong_password_and_an_unknown_address_have_one_answer(open_door: Door) -> None:
    wrong, unknown = (
        open_door.call("POST", "/api/auth/login", {"email": email, "password": "wrong"}).json()
        for email in ("public@example.com", "not-there@example.com")
    )

    assert wrong | {"instance": ""} == unknown | {"instance": ""}
    assert wrong["error"] == "Invalid credentials"


def test_elsewhere_passwords_are_longer_and_what_is_registered_sees_older_data(
    closed_door: Door,
) -> None:
    short = closed_door.call("POST", "/api/auth/register", ASHA | {"password": "x" * 11})
    longer = closed_door.call("POST", "/api/auth/register", ASHA)

    assert short.status == 400
    assert longer.json()["user"]["role"] == "public"
    assert longer.json()["expires_in"] == 3_600


# --- credentials --------------------------------------------------------------------------


def forged(**changes: Any) -> str:
    now = datetime.now(UTC)
    claims = {
        "iss": "data-fetch", "sub": "x", "gen": 1, "iat": now,
        "exp": now + timedelta(hours=1), "jti": "1", **changes,
    }  # fmt: skip
    return jwt.encode(claims, SECRET)


BAD_HEADERS = [
    pytest.param({"Authorization": "Bearer x.y.z"}, id="no token"),
    pytest.param({"Authorization": f"Bearer {forged()}"}, id="of no account"),
    pytest.param({"Authorization": f"Bearer {forged(exp=1)}"}, id="expired"),
    pytest.param(
        {"Authorization": f"Bearer {jwt.encode({'sub': 'x'}, None, algorithm='none')}"},
        id="alg none",
    ),
    pytest.param({"Authorization": "Bearer"}, id="nothing after Bearer"),
    pytest.param({"Authorization": "Basic dXNlcjpwYXNz"}, id="Basic"),
    pytest.param({"Authorization": ""}, id="empty"),
    pytest.param({"Authorization": "Bearer dfk_unknown"}, id="an unknown key"),
    pytest.param({"X-API-Key": "dfk_unknown"}, id="an unknown key in its own header"),
    pytest.param({"X-API-Key": "not a key"}, id="no key"),
    pytest.param({"Authorization": "Bearer \xff\xfe"}, id="not ASCII"),
    pytest.param({"Authorization": "Bearer a", "X-API-Key": "dfk_b"}, id="two kinds"),
]


@pytest.mark.parametrize("headers", BAD_HEADERS)
def test_wrong_credentials_are_refused_even_where_none_are_needed(
    open_door: Door, headers: dict[str, str]
) -> None:
    answer = open_door.call("GET", "/", **headers)

    assert (answer.status, answer.json()["code"]) == (401, "token_invalid")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert has(answer.json(), PROBLEM)


@pytest.mark.parametrize("headers", [*BAD_HEADERS, pytest.param({}, id="none")])
def test_verify_says_that_they_are_not_valid(open_door: Door, headers: dict[str, str]) -> None:
    answer = open_door.call("POST", "/api/auth/verify", **headers)

    assert (answer.status, answer.json()["valid"]) == (401, False)
    assert has(answer.json(), NOT_VALID)


def raw(door: Door, request: bytes) -> bytes:
    """The answer to *request* as written; of a connection that stays open, its first bytes."""
    address = urllib3.util.parse_url(door.served.url)
    assert address.host is not None
    with socket.create_connection((address.host, address.port or 0), PATIENCE_SECONDS) as sent:
        sent.sendall(request)
        return sent.recv(65_536)


def test_two_authorization_headers_are_refused(open_door: Door) -> None:
    token = signed_in(open_door)["token"].encode()
    twice = b"Authorization: Bearer %b\r\n" % token * 2

    answer = raw(open_door, b"GET / HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % twice)

    assert answer.startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/", 401, id="root"),
        pytest.param("/health", 401, id="health with details"),
        pytest.param("/metrics", 401, id="metrics"),
        pytest.param("/option-chain/NIFTY", 401, id="data"),
        pytest.param("/nothing", 401, id="an unknown path"),
        pytest.param("/api/auth/../data/ltp", 401, id="a way around"),
        pytest.param("//docs", 401, id="a path like an open one"),
        pytest.param("/health/live", 200, id="live"),
        pytest.param("/health/ready", 200, id="ready"),
        pytest.param("/docs", 200, id="docs"),
        pytest.param("/docs/swagger-ui.css", 200, id="what docs is made of"),
        pytest.param("/openapi.json", 200, id="openapi"),
    ],
)
def test_what_is_open_without_credentials(closed_door: Door, path: str, status: int) -> None:
    assert closed_door.call("GET", path).status == status


def test_every_path_but_the_open_ones_needs_credentials(closed_door: Door) -> None:
    paths = closed_door.call("GET", "/openapi.json").json()["paths"]
    asked = {path.replace("{", "").replace("}", "") for path in paths}

    open_to_all = {path for path in asked if closed_door.call("GET", path).status != 401}

    assert open_to_all <= {
        "/health/live", "/health/ready", "/api/docs", "/api/auth/register", "/api/auth/login",
        "/api/auth/verify", "/api/auth/refresh",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("scopes", "status", "code"),
    [
        pytest.param((Scope.READ,), 200, None, id="read"),
        pytest.param((Scope.READ, Scope.STREAM), 200, None, id="read and stream"),
        pytest.param((Scope.STREAM,), 403, "scope_missing", id="stream only"),
    ],
)
def test_the_scopes_of_a_key(
    closed_door: Door, scopes: tuple[Scope, ...], status: int, code: str | None
) -> None:
    key = closed_door.key("user@example.com", *scopes)

    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        answer = closed_door.call("GET", "/", **headers)
        assert (answer.status, answer.json().get("code")) == (status, code)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("token=x", id="token"),
        pytest.param("a=b&Access_Token=x", id="capitals"),
        pytest.param("api%5Fkey=x", id="encoded"),
        pytest.param("anything=dfk_abc", id="a key under another name"),
    ],
)
def test_credentials_in_a_url_are_refused(open_door: Door, query: str) -> None:
    answer = open_door.call("GET", f"/?{query}")

    assert (answer.status, answer.json()["code"]) == (400, "credential_in_url")


def test_a_refused_token_does_not_keep_anybody_from_signing_in(closed_door: Door) -> None:
    old_client = {"Authorization": "Bearer an expired one"}

    answer = closed_door.call(
        "POST", "/api/auth/login", {"email": "user@example.com", "password": PASSWORD}, **old_client
    )

    assert answer.status == 200


# --- pages of other origins ---------------------------------------------------------------

HERE = ["null", "http://localhost:3000", "http://127.0.0.1", "http://127.0.0.1:8080"]
ELSEWHERE = ["https://desk.example.com"]
FOREIGN = [
    "https://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example",
    "https://desk.example.com.evil.example", "http://localhost:3000@evil.example", "*",
]  # fmt: skip


@pytest.mark.parametrize("origin", HERE)
def test_pages_of_this_machine_may_read(open_door: Door, origin: str) -> None:
    answer = open_door.call("GET", "/health/live", Origin=origin)
    preflight = open_door.call(
        "OPTIONS", "/health", Origin=origin, Access_Control_Request_Method="GET",
        Access_Control_Request_Headers="authorization",
    )  # fmt: skip

    assert (answer.status, preflight.status) == (200, 204)
    for each in (answer, preflight):
        assert each.headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in each.headers["Vary"]
        assert {"Data-Frame", "ETag", "Link"} <= set(
            each.headers["Access-Control-Expose-Headers"].split(", ")
        )
        with_credentials = each.headers.get("Access-Control-Allow-Credentials")
        assert with_credentials == (None if origin == "null" else "true")
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize("origin", FOREIGN)
def test_other_pages_may_not(open_door: Door, origin: str) -> None:
    answer = open_door.call("GET", "/health/live", Origin=origin)
    preflight = open_door.call(
        "OPTIONS", "/health", Origin=origin, Access_Control_Request_Method="GET"
    )

    assert "Access-Control-Allow-Origin" not in answer.headers
    assert (preflight.status, preflight.json()["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
def test_pages_without_an_origin_make_no_accounts(open_door: Door, method: str) -> None:
    """Any page can be one, by way of a frame, and would have an account for later."""
    headers = {"Origin": "null", "Access_Control_Request_Method": "POST"}
    email = "from-a-frame@example.com"

    answer = open_door.call(method, "/api/auth/register", ASHA | {"email": email}, **headers)

    assert (answer.status, answer.json()["code"]) == (403, "foreign_origin")
    given = {"email": email, "password": PASSWORD}
    assert open_door.call("POST", "/api/auth/login", given).status == 401


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [(each, True) for each in ELSEWHERE] + [(each, False) for each in HERE],
)
def test_elsewhere_only_listed_pages_may_read(
    closed_door: Door, origin: str, allowed: bool
) -> None:
    answer = closed_door.call("GET", "/health", Origin=origin)

    assert answer.status == 401
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if allowed else None)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1:8000"])
def test_an_open_server_answers_to_its_own_name_only(open_door: Door, host: str) -> None:
    answer = open_door.call("GET", "/health/live", Host=host)

    assert (answer.status, answer.json()["code"]) == (421, "foreign_host")


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        pytest.param("Origin: http://localhost:3000", 101, None, id="a page of this machine"),
        pytest.param("Origin: https://evil.example", 403, "forbidden", id="another page"),
        pytest.param("Authorization: Bearer x.y.z", 401, "unauthenticated", id="a made-up token"),
    ],
)
def test_a_socket_is_refused_before_it_opens(
    sqlite_url: str, tmp_path: Path, headers: str, status: int, kind: str | None
) -> None:
    """Browsers do not ask before they open one."""
    handshake = (
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"{headers}\r\n\r\n"
    )

    for door in opened(sqlite_url, tmp_path):
        answer = raw(door, handshake.encode())

    assert answer.startswith(f"HTTP/1.1 {status}".encode())
    recorded = {row.kind for row in audit_of(sqlite_url)} - {"registered"}
    assert recorded == ({kind} if kind else set())


# --- bodies -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        pytest.param(b'{"email": "a", "email": "b"}', {}, 422, "invalid", id="a member twice"),
        pytest.param(b'{"email": NaN}', {}, 422, "invalid", id="NaN"),
        pytest.param(b'{"email": 1e999}', {}, 422, "invalid", id="infinity"),
        pytest.param(b'{"email": ', {}, 422, "invalid", id="cut short"),
        pytest.param(b"[" * 100_000, {}, 422, "invalid", id="100,000 levels"),
        pytest.param(b'{"email": "\xff"}', {}, 422, "invalid", id="not UTF-8"),
        pytest.param(b'{"email": "\\ud800"}', {}, 422, "invalid", id="half a surrogate pair"),
        pytest.param(b"9" * 10_000, {}, 422, "invalid", id="a number of 10,000 digits"),
        pytest.param(b"{}" + b" " * 1_000_000, {}, 413, "body_too_large", id="a megabyte"),
        pytest.param(
            b"\x1f\x8b", {"Content-Encoding": "gzip"}, 415, "compressed_body", id="compressed"
        ),
        pytest.param(b"{}", {"Content-Type": "text/plain"}, 422, "invalid", id="text"),
    ],
)
def test_bodies_that_are_refused(
    open_door: Door, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = open_door.call("POST", "/api/auth/login", body=body, **headers)

    assert (answer.status, answer.json()["code"]) == (status, code)


def test_a_body_is_refused_by_its_announced_length(open_door: Door) -> None:
    answer = raw(
        open_door,
        b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n",
    )

    assert answer.startswith(b"HTTP/1.1 413")


def test_a_body_without_a_length_is_bounded_as_well(open_door: Door) -> None:
    head = (
        b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"40000\r\n" + b" " * 0x40000 + b"\r\n"

    assert raw(open_door, head + chunk * 4).startswith(b"HTTP/1.1 413")


# --- limits -------------------------------------------------------------------------------


@pytest.fixture
def narrow_door(sqlite_url: str, tmp_path: Path) -> Iterator[Door]:
    yield from opened(sqlite_url, tmp_path, API_RATE_LIMIT="5")


def test_answers_say_what_is_left_and_then_refuse(narrow_door: Door) -> None:
    answers = [narrow_door.call("GET", "/health/live") for _ in range(7)]

    assert [each.status for each in answers] == [200] * 5 + [429] * 2
    assert [each.headers["RateLimit"].split(";")[:2] for each in answers] == [
        ['"requests"', f"r={left}"] for left in (4, 3, 2, 1, 0, 0, 0)
    ]
    assert {each.headers["RateLimit-Policy"] for each in answers} == {'"requests";q=5;w=60'}
    assert answers[-1].json()["code"] == "rate_limited"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60


def test_a_key_has_a_limit_of_its_own(narrow_door: Door) -> None:
    keys = [narrow_door.key("user@example.com", Scope.READ) for _ in range(2)]
    for _ in range(6):
        narrow_door.call("GET", "/health/live")

    for key in keys:
        statuses = [narrow_door.call("GET", "/", X_API_Key=key).status for _ in range(6)]
        assert statuses == [200] * 5 + [429]


def test_trying_keys_is_limited_by_address(narrow_door: Door) -> None:
    statuses = [narrow_door.call("GET", "/", X_API_Key=f"dfk_{guess}").status for guess in range(7)]

    assert statuses == [401] * 5 + [429] * 2


@pytest.fixture
def door(sqlite_url: str, tmp_path: Path) -> Iterator[Door]:
    yield from opened(sqlite_url, tmp_path)


def test_a_flood_of_sign_ins_is_refused_and_the_server_answers_others(door: Door) -> None:
    def attempt(n: int) -> urllib3.BaseHTTPResponse:
        given = {"email": f"flood{n}@example.com", "password": "wrong password"}
        return door.call("POST", "/api/auth/login", given)

    with ThreadPoolExecutor(40) as threads:
        flood = [threads.submit(attempt, n) for n in range(40)]
        assert door.call("GET", "/health/live").status == 200
        answers = [each.result() for each in flood]

    assert {each.status for each in answers} <= {401, 429, 503}
    # Twenty failures of an address are free.
    assert sum(each.status == 401 for each in answers) <= 20
    for each in answers:
        if each.status != 401:
            assert int(each.headers["Retry-After"]) > 0


# --- audit and secrets --------------------------------------------------------------------


def test_refusals_are_audited_with_address_and_request(sqlite_url: str, tmp_path: Path) -> None:
    for door in opened(sqlite_url, tmp_path, API_AUTHENTICATION="on"):
        stream_only = door.key("user@example.com", Scope.STREAM)
        refused = [
            door.call("GET", "/"),
            door.call("GET", "/", token="x.y.z"),
            door.call("GET", "/", X_API_Key=stream_only),
            door.call(
                "POST", "/api/auth/login", {"email": "user@example.com", "password": "wrong"}
            ),
        ]
    rows = {row.request_id: row for row in audit_of(sqlite_url)}

    found = [rows[each.headers["X-Request-Id"]] for each in refused]
    assert [(row.kind, row.email) for row in found] == [
        ("unauthenticated", None),
        ("unauthenticated", None),
        ("forbidden", None),
        ("sign_in_failed", "user@example.com"),
    ]
    assert {row.address for row in found} == {"127.0.0.1"}


def test_no_secret_is_in_a_log_an_answer_to_others_or_the_audit(
    sqlite_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen = []
    for door in opened(sqlite_url, tmp_path):
        key = door.key("user@example.com", Scope.READ)
        tokens = signed_in(door)
        seen = [
            door.call("GET", "/", token=tokens["token"]),
            door.call("GET", "/", X_API_Key=key),
            door.call("GET", f"/?token={tokens['token']}"),
            door.call("GET", "/", token=tokens["token"] + "x"),
            door.call(
                "POST", "/api/auth/refresh", {"refresh_token": tokens["refresh_token"] + "x"}
            ),
            door.call("POST", "/api/auth/login", {"email": PASSWORD, "password": PASSWORD}),
            door.call("POST", "/api/auth/login", {"email": "a@b.c", "password": [PASSWORD]}),
            door.call("POST", "/api/auth/register", {"email": PASSWORD, "password": PASSWORD}),
            door.call("POST", "/api/auth/verify", token=tokens["token"]),
        ]
    audit = str(audit_of(sqlite_url))
    answers = "".join(f"{each.headers} {each.data.decode()}" for each in seen)
    # Not those of the test's own client.
    logs = "".join(str(vars(each)) for each in caplog.records if "urllib3" not in each.name)
    assert "data_fetch.serving.gate" in logs

    for secret in (PASSWORD, key, tokens["token"], tokens["refresh_token"], SECRET.decode()):
        for place in (answers, audit, logs):
            assert secret not in place
