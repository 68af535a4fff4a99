"""What a notebook says to the report of a suite run: its result in one sentence, and more."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgclf_lib.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MIME_TYPE = "application/vnd.imgclf.headline+json"
REPORT_TYPE = "application/vnd.imgclf.report+json"
MOST_ROWS = 30
# The parts of a report, in order, with their headings.
PARTS = {
    "short": "In short",
    "data": "The data",
    "result": "The result",
    "next": "What to do next",
}


def headline(sentence: str, in_short: bool = False, **figures: float) -> None:
    """Show a sentence below the cell, and keep its figures for the report of the suite.

    Args:
        sentence: The result in plain words, with its numbers.
        in_short: Whether the report says it at its top, too.
        **figures: The same numbers by name, for ``results.csv``.
    """
    from IPython.display import display

    kept: dict[str, Any] = {"sentence": sentence}
    kept["figures"] = {name: float(each) for name, each in figures.items()}
    if in_short:
        kept["part"] = "short"
    display({"text/plain": sentence, MIME_TYPE: kept}, raw=True)


def for_report(
    part: str,
    content: "str | Sequence[str] | pd.DataFrame | Axes | Figure",
    title: str = "",
    alt: str = "",
) -> None:
    """Show something below the cell, and put it into the report of a suite run as well.

    Args:
        part: Where in the report: ``short``, ``data``, ``result`` or ``next``.
        content: A sentence, a list of sentences (nothing is shown if there are none), a table
            (below the cell, the middle of a long one is left out), or a drawing.
        title: A heading for it.
        alt: What a drawing shows, in a sentence or two.

    Raises:
        InputError: If the report has no such part.
    """
    import pandas as pd
    from IPython.display import display
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from imgclf_lib.figures import png

    if part not in PARTS:
        raise InputError("The report has no such part", allowed=", ".join(PARTS), received=part)
    metadata: dict[str, Any] = {}
    bundle: dict[str, Any] = {REPORT_TYPE: {"part": part, "title": title}}
    if isinstance(content, Axes | Figure):
        bundle |= {"image/png": png(content), "text/plain": alt}
        metadata = {"image/png": {"alt": alt}}
    elif isinstance(content, pd.DataFrame):
        with pd.option_context("display.max_colwidth", None):
            table = content.rename_axis(index=None, columns=None)
            style: dict[str, Any] = {
                "border": 0,
                "index": not isinstance(table.index, pd.RangeIndex),
            }
            bundle[REPORT_TYPE]["table"] = table.to_html(**style)
            bundle["text/html"] = table.to_html(**style, max_rows=MOST_ROWS)
            bundle["text/plain"] = table.to_string(max_rows=MOST_ROWS)
    else:
        sentences = [content] if isinstance(content, str) else list(content)
        if not sentences:
            return
        items = "".join(f"<li>{html.escape(each)}</li>" for each in sentences)
        bundle |= {"text/html": f"<ul>{items}</ul>", "text/plain": "\n".join(sentences)}
    display(bundle, raw=True, metadata=metadata)
