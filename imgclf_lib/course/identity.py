"""Who may enter ``imgclf lab``: nobody without a token or a password, whatever is configured."""

import secrets
from typing import Any

from jupyter_server.auth.identity import PasswordIdentityProvider
from traitlets import validate


class Identity(PasswordIdentityProvider):
    """Jupyter's identity provider, where an empty token does not switch the token off."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.token = self.token or ""  # a default is not validated

    @validate("token")
    def _never_empty(self, proposal: Any) -> str:
        if proposal["value"]:
            return proposal["value"]
        self.token_generated = True  # so that it is shown, and the browser gets it
        return secrets.token_hex(24)
