"""`data-fetch accounts`: who may ask the servers, and with which keys."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from data_fetch.cli.shared.output import counted, emit, json_option, print_out, remark
from data_fetch.cli.shared.world_line import settings_to_store
from data_fetch.core.accounts.accounts import Account, ApiKey, Role, Scope
from data_fetch.core.accounts.events import AccountEvent
from data_fetch.core.clock import utc_text
from data_fetch.core.errors import AccountInvalid
from data_fetch.reading.instants import ist_text
from data_fetch.runtime.accounts import accounts_of
from data_fetch.runtime.settings import process_settings
from data_fetch.services.accounts import Accounts

role_choice = click.Choice([each.value for each in Role])
scope_choice = click.Choice([each.value for each in Scope])


@click.group()
def command() -> None:
    """Accounts and API keys of the servers. A running server follows within seconds."""


@command.command("list")
@json_option
def list_accounts(as_json: bool) -> None:
    """List the accounts, oldest first."""
    accounts = accounts_of(process_settings())
    found, keys = accounts.all(), accounts.keys()
    valid = [key.account_id for _, key in keys if key.revoked_at is None]
    if as_json:
        documents = [
            account_document(each) | {"keys": valid.count(each.account_id)} for each in found
        ]
        emit({"accounts": documents})
        return
    for each in found:
        state = "" if each.disabled_at is None else f"  disabled {ist_text(each.disabled_at)}"
        number = counted(valid.count(each.account_id), "key")
        print_out(f"{each.email:<32} {each.role:<7} {number:>8}  {each.name}{state}")
    if not found:
        print_out("No accounts yet. Add one: data-fetch accounts add EMAIL --name NAME")


@command.command()
@click.argument("email")
@click.option("--name", required=True, help="The name that its holder sees.")
@click.option("--role", type=role_choice, default=Role.USER.value, show_default=True)
@json_option
def add(email: str, name: str, role: str, as_json: bool) -> None:
    """Add an account. The password is asked for, or read from standard input."""
    account = _accounts().add(email, name, _password(), Role(role))
    _show(account, as_json, f"{account.email} is added as {account.role}.")


@command.command("role")
@click.argument("email")
@click.argument("role", type=role_choice)
@json_option
def set_role(email: str, role: str, as_json: bool) -> None:
    """Give an account another ROLE."""
    account = _accounts().set_role(email, Role(role))
    _show(account, as_json, f"{account.email} is {account.role}.")


@command.command()
@click.argument("email")
@json_option
def disable(email: str, as_json: bool) -> None:
    """Refuse an account, its tokens and its keys from now on."""
    account = _accounts().disable(email)
    _show(account, as_json, f"{account.email} is disabled.")


@command.command()
@click.argument("email")
@json_option
def enable(email: str, as_json: bool) -> None:
    """Let a disabled account in again. Its keys are valid again; it has to sign in anew."""
    account = _accounts().enable(email)
    _show(account, as_json, f"{account.email} is enabled.")


@command.command("password")
@click.argument("email")
@json_option
def set_password(email: str, as_json: bool) -> None:
    """Set a password: asked for, or read from standard input. Every token becomes void."""
    account = _accounts().set_password(email, _password())
    _show(account, as_json, f"{account.email} has a new password and has to sign in anew.")


@command.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@json_option
def events(limit: int, as_json: bool) -> None:
    """The audit: changes and refusals, newest first."""
    found = accounts_of(process_settings()).events(limit)
    if as_json:
        emit({"events": [event_document(each) for each in found]})
        return
    for each in found:
        times = "" if each.count == 1 else f" ({each.count:,} times)"
        facts = " ".join(filter(None, (each.email, each.address, each.detail, each.request_id)))
        print_out(f"{ist_text(each.at)}  {each.kind:<17}{times} {facts}")


@command.group()
def keys() -> None:
    """API keys, for programs."""


@keys.command("list")
@click.argument("email", required=False)
@json_option
def list_keys(email: str | None, as_json: bool) -> None:
    """List the API keys of an account, or of all."""
    found = accounts_of(process_settings()).keys(email)
    if as_json:
        emit({"keys": [key_document(account, key) for account, key in found]})
        return
    for account, key in found:
        used = "never used" if key.last_used_at is None else f"used {ist_text(key.last_used_at)}"
        state = used if key.revoked_at is None else f"revoked {ist_text(key.revoked_at)}"
        print_out(
            f"{key.key_id}  {key.shown}...  {_listed(key.scopes):<20} {account.email}  {key.name}"
            f"  {state}"
        )


@keys.command("add")
@click.argument("email")
@click.option("--name", required=True, help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    type=scope_choice,
    multiple=True,
    default=[Scope.READ.value],
    show_default=True,
    help="What it may be used for; may be repeated.",
)
@json_option
def add_key(email: str, name: str, scopes: Sequence[str], as_json: bool) -> None:
    """Make an API key for an account. It is shown once."""
    made = _accounts().add_key(email, name, {Scope(each) for each in scopes})
    if as_json:
        emit(key_document(made.owner, made.key) | {"key": made.secret})
        return
    print_out(made.secret)
    remark(
        f"Key {made.key.key_id} ({_listed(made.key.scopes)}). It cannot be shown again; "
        "send it as X-API-Key."
    )


@keys.command("revoke")
@click.argument("key_id")
@json_option
def revoke_key(key_id: str, as_json: bool) -> None:
    """Refuse the key KEY_ID from now on."""
    _accounts().revoke_key(key_id)
    if as_json:
        emit({"id": key_id, "revoked": True})
    else:
        print_out(f"Key {key_id} is revoked.")


def account_document(account: Account) -> dict[str, Any]:
    return {
        "id": account.account_id,
        "email": account.email,
        "name": account.name,
        "role": account.role.value,
        "created_at": utc_text(account.created_at),
        "disabled_at": None if account.disabled_at is None else utc_text(account.disabled_at),
    }


def key_document(account: Account, key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "email": account.email,
        "name": key.name,
        "shown": key.shown,
        "scopes": sorted(key.scopes),
        "created_at": utc_text(key.created_at),
        "last_used_at": None if key.last_used_at is None else utc_text(key.last_used_at),
        "revoked_at": None if key.revoked_at is None else utc_text(key.revoked_at),
    }


def event_document(event: AccountEvent) -> dict[str, Any]:
    return {
        "at": utc_text(event.at),
        "kind": event.kind.value,
        "email": event.email,
        "address": event.address,
        "request_id": event.request_id,
        "detail": event.detail,
        "count": event.count,
    }


def _accounts() -> Accounts:
    return accounts_of(settings_to_store())


def _show(account: Account, as_json: bool, sentence: str) -> None:
    if as_json:
        emit(account_document(account))
    else:
        print_out(sentence)


def _password() -> str:
    """From the terminal, twice and unseen; else the first line of standard input."""
    if sys.stdin.isatty():
        typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return typed
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise AccountInvalid(
            "there is no password on standard input", hint="Send it as the first line."
        )
    return line


def _listed(scopes: frozenset[Scope]) -> str:
    return ",".join(sorted(scopes))
