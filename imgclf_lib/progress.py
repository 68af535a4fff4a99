"""Progress on standard error, for work that takes longer than two seconds."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress_bar(
    items: Iterable | None, description: str, total: int | None = None, unit: str = "step"
) -> tqdm:
    """A progress bar that appears after two seconds.

    Args:
        items: What to go through; None for a bar that is updated by hand.
        description: What is being done.
        total: How many items there are.
        unit: What one item is called.

    Returns:
        The bar; iterate over it instead of the items.
    """
    seconds = 0.2 if sys.stderr.isatty() else 10.0  # a log file wants few lines
    return tqdm(items, description, total, unit=unit, delay=2, mininterval=seconds, leave=False)
