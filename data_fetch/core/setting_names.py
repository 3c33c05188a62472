"""Names of settings that are nearly ours: what was probably meant."""

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import SequenceMatcher

TOKEN, SOURCE, API_KEY = "UPSTOX_ACCESS_TOKEN", "DATA_SOURCE", "UPSTOX_API_KEY"
# Names that other tools have for the token, without separators.
TOKEN_NAMES = {"UPSTOXACCESSTOKEN": 0.85, "UPSTOXTOKEN": 0.85, "ACCESSTOKEN": 0.92}
# `DB_USERNAME` is not `DB_USER`; `DATABASE_URI` is nearly `DATABASE_URL`.
NEAR = 0.88
SEPARATORS = re.compile(r"[^A-Z0-9]+")


def meant_settings(given: Iterable[str], known: Collection[str]) -> Mapping[str, str]:
    """The setting that each name of *given* is nearly; nothing for names unlike any.

    A setting whose own name is among *given* is not looked for.
    """
    names = list(given)
    missing = sorted(name for name in known if name not in names)
    found = {name: _meant(name, missing) for name in names if name not in known}
    return {name: meant for name, meant in found.items() if meant is not None}


def _meant(name: str, missing: Collection[str]) -> str | None:
    plain = _plain(name)
    likeness = {each: _likeness(plain, _plain(each)) for each in missing}
    best = max(likeness, key=lambda each: likeness[each], default=None)
    if best is not None and likeness[best] >= NEAR:
        return best
    return TOKEN if TOKEN in missing and _is_token_like(plain) else None


def _is_token_like(plain: str) -> bool:
    return plain.startswith("UPSTOX") or any(
        _likeness(plain, each) >= least for each, least in TOKEN_NAMES.items()
    )


def _plain(name: str) -> str:
    return SEPARATORS.sub("", name.upper())


def _likeness(one: str, other: str) -> float:
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return matcher.ratio() if matcher.real_quick_ratio() >= NEAR - 0.05 else 0.0
