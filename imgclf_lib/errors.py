"""One error family, one message form.

Every message says what went wrong and where, what is allowed, what was received and what to do
next. The command line prints the message alone, without a traceback, and exits with
``exit_code``. What the operating system refuses stays an ``OSError`` for those who call the
library; the command line says it in the same form.
"""

import errno
import os
import sys


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
            try:
                parts.append(f"Received: {received!r}.")
            except (ValueError, RecursionError):  # thousands of digits, or of brackets
                parts.append(f"Received: a {type(received).__name__} too large to show.")
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


def explain(error: OSError) -> InputError:
    """What the operating system refused, in our form: the place, the reason, what to do.

    Args:
        error: As it was raised.

    Returns:
        The error to show.
    """
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    places = {
        **dict.fromkeys(full, "Free some disk space, or choose a place on another disk"),
        errno.EROFS: "Choose a place that can be written",
        errno.EACCES: "Ask for the permission, or choose another place",
        errno.EPERM: "Ask for the permission, or choose another place",
        errno.ENAMETOOLONG: "Choose a shorter name",
        errno.ENOTDIR: "Choose a place below a folder; a part of this path is a file",
        errno.EISDIR: "Name a file; this is a folder",
        errno.ENOENT: "Check the path",
    }
    reason = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
    names = [repr(str(each)) for each in (error.filename, error.filename2) if each is not None]
    where = " and ".join(names) or "A file or stream"
    do = places.get(error.errno or 0, "Check the disk and the path")
    return InputError(
        f"{where} cannot be read or written ({reason})",
        do=f"{do}; then give the same command again. What is complete is kept",
    )


def tell(text: str) -> None:
    """Say one line on standard error.

    Args:
        text: Anything; what could do something to a terminal is escaped, see ``printable``.
    """
    print(printable(text), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Text that does nothing to a terminal.

    Args:
        text: Anything; names of files and classes are not to be trusted.

    Returns:
        The text with control characters, marks that turn the direction of writing, and all
        other invisible characters written as escapes such as ``\\x1b``.
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
