"""One error family, one message form.

Every message says what went wrong and where, what is allowed, what was received and what to do
next. The command line prints the message alone, without a traceback, and exits with
``exit_code``.
"""


class ImgclfError(Exception):
    """The run went wrong, and the reason is known.

    Args:
        what: What went wrong, and where (file, field, cell).
        allowed: What would have been accepted.
        received: What was received instead; shown with ``repr``.
        do: What to do next.
    """

    exit_code = 1
    _nothing = object()

    def __init__(
        self, what: str, *, allowed: str = "", received: object = _nothing, do: str = ""
    ) -> None:
        parts = [what.rstrip(".") + "."]
        if allowed:
            parts.append(f"Allowed: {allowed.rstrip('.')}.")
        if received is not self._nothing:
            parts.append(f"Received: {received!r}.")
        if do:
            parts.append(do.rstrip(".") + ".")
        super().__init__(" ".join(parts))


class InputError(ImgclfError):
    """The input cannot be used: a value out of range, a missing folder, an unknown name."""

    exit_code = 2


class NotebookError(ImgclfError):
    """A notebook did not run to its end."""


class TrainingError(ImgclfError):
    """Training started and could not finish, for example because the loss became not a number."""
