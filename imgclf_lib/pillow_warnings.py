"""Hear what Pillow warns of while this thread decodes, without printing it."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Collect the warnings that Pillow gives in this thread.

    ``warnings.catch_warnings`` changes the whole process and is not safe in threads: one that
    leaves early would let the warnings of the others be printed. So the first thread that comes
    in opens it, the last one out closes it, and each hears only its own warnings; those of other
    threads and other packages go on as before.

    Yields:
        A list that grows by the text of each warning; a warning of the module that reads EXIF and
        TIFF data becomes "damaged metadata".

    Raises:
        DecompressionBombWarning: If Pillow warns of one: only an error stops the decoding.
    """
    if getattr(_own, "heard", None) is not None:  # inside another of these
        yield _own.heard
        return
    _own.heard = []
    _door.open()
    try:
        yield _own.heard
    finally:
        _door.close()
        _own.heard = None


class _Door:
    """Open while at least one thread is inside."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.context, self.before = warnings.catch_warnings(), warnings.showwarning

    def open(self) -> None:
        with self.lock:
            if not self.inside:
                self.context, self.before = warnings.catch_warnings(), warnings.showwarning
                self.context.__enter__()
                warnings.filterwarnings("always", module=r"PIL\.")
                warnings.showwarning = self.hear
            self.inside += 1

    def close(self) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.context.__exit__(None, None, None)

    def hear(self, message: Any, category: Any, filename: str, *more: Any, **rest: Any) -> None:
        heard = getattr(_own, "heard", None)
        if heard is None or Path(filename).parent.name != "PIL":
            self.before(message, category, filename, *more, **rest)
        elif issubclass(category, Image.DecompressionBombWarning):
            raise Image.DecompressionBombWarning(str(message))
        else:
            text = "damaged metadata" if "TiffImagePlugin" in filename else str(message)
            if text not in heard:
                heard.append(text)


_own, _door = threading.local(), _Door()
