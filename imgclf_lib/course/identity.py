"""Who may enter ``imgclf lab``: nobody without a token or a password, whatever is configured."""

import secrets
from typing import Any

from jupyter_server.auth.identity import PasswordIdentityProvider


class Identity(PasswordIdentityProvider):
    """Jupyter's identity provider, where an empty token does not switch the token off."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.observe(self._never_empty, "token")
        self._never_empty()

    def _never_empty(self, _: Any = None) -> None:
        if not self.token:
            self.token_generated = True  # so that it is shown, and the browser gets it
            self.token = secrets.token_hex(24)
