"""The token of the last login, in a file that only its owner can read.

Every process of the working folder reads it there, and a running one reads it again when it was
saved.
"""

from pathlib import Path

import orjson
from pydantic import AwareDatetime, BaseModel, ValidationError

from data_fetch.core.files import OWNER_ONLY, close_to_others, new_file
from data_fetch.core.provider_tokens import Login


class _Document(BaseModel):
    """The content of the file."""

    access_token: str
    user_id: str
    client_id: str
    host: str
    issued_at: AwareDatetime
    expires_at: AwareDatetime


class LoginFile:
    """The login at *host* in the file at *path*. One at another host counts as none: its token
    must not be sent here."""

    def __init__(self, path: Path, host: str) -> None:
        self.path = path
        self._host = host

    def read(self) -> Login | None:
        """The stored login; None without one, and where the file has something else.

        Raises OSError when a file that is there cannot be read.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        close_to_others(self.path)
        try:
            login = Login(**dict(_Document.model_validate_json(content)))
        except ValidationError:
            return None
        return login if login.host == self._host else None

    def save(self, login: Login) -> None:
        """Put *login* in the place of the former one."""
        with new_file(self.path) as draft:
            draft.touch(mode=OWNER_ONLY)
            draft.write_bytes(orjson.dumps(login))
