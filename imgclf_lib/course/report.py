"""What a notebook says to the report of a suite run, what is read back, and the pages of it."""

import html
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from imgclf_lib import __version__
from imgclf_lib.errors import InputError, printable
from imgclf_lib.storage import atomic, write_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from nbformat import NotebookNode

MIME_TYPE = "application/vnd.imgclf.headline+json"
REPORT_TYPE = "application/vnd.imgclf.report+json"
MOST_ROWS = 30
TEMPLATES = Path(__file__).parent / "templates"
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
    from IPython.display import display
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from imgclf_lib.plots import mime_bundle

    if part not in PARTS:
        raise InputError("The report has no such part", allowed=", ".join(PARTS), received=part)
    metadata: dict[str, Any] = {}
    bundle: dict[str, Any] = {REPORT_TYPE: {"part": part, "title": title}}
    if isinstance(content, Axes | Figure):
        shown, metadata = mime_bundle(content, alt)
        bundle |= shown
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


class Contribution(NamedTuple):
    """One thing that a notebook gives to the report.

    Args:
        part: Where in the report, a key of ``PARTS``.
        title: Its heading, or empty.
        markup: HTML of a list or a table; empty for a picture.
        picture: PNG in base64; empty for others.
        alt: What the picture shows.
    """

    part: str
    title: str
    markup: str
    picture: str
    alt: str


class Outcome(NamedTuple):
    """What came of one notebook.

    Args:
        notebook: Its name, without the suffix.
        content: The executed notebook.
        seconds: How long it took.
        problem: Empty, or what failed (such as a cell), and why.
    """

    notebook: str
    content: "NotebookNode"
    seconds: float
    problem: str

    @property
    def title(self) -> str:
        """The first heading of the notebook, or its name."""
        for cell in self.content.cells:
            if cell.cell_type == "markdown" and cell.source.startswith("# "):
                return cell.source.splitlines()[0].removeprefix("# ")
        return self.notebook

    @property
    def headline(self) -> dict[str, Any]:
        """The last headline: ``sentence`` and ``figures``; both empty if there is none."""
        last: dict[str, Any] = {"sentence": "", "figures": {}}
        for _, output in self._outputs():
            last = output.get("data", {}).get(MIME_TYPE, last)
        return last

    @property
    def picture(self) -> tuple[str, str]:
        """PNG in base64 and alternative text: of the cell tagged ``picture``, or the last one."""
        found, chosen = ("", ""), ("", "")
        for cell, output in self._outputs():
            if "image/png" in output.get("data", {}):
                found = _picture(output)
                if "picture" in cell.metadata.get("tags", []):
                    chosen = found
        return chosen if chosen[0] else found

    @property
    def contributions(self) -> list[Contribution]:
        """What the notebook gives to the report, in its order."""
        found = []
        for _, output in self._outputs():
            data = output.get("data", {})
            said = data.get(MIME_TYPE, {})
            if "part" in said:
                markup = f"<ul><li>{html.escape(said['sentence'])}</li></ul>"
                found.append(Contribution(said["part"], "", markup, "", ""))
            if REPORT_TYPE in data:
                picture, alt = _picture(output)
                told = data[REPORT_TYPE]
                markup = "" if picture else told.get("table", data.get("text/html", ""))
                found.append(Contribution(told["part"], told["title"], markup, picture, alt))
        return found

    @property
    def summary(self) -> str:
        """One line: seconds, and the headline or the problem."""
        said = f"FAILED in {self.problem}" if self.problem else self.headline["sentence"]
        return f"{self.seconds:6.1f} s   {said}"

    def _outputs(self) -> Iterator[tuple[Any, Any]]:
        for cell in self.content.cells:
            for output in cell.get("outputs", []):
                yield cell, output


def _picture(output: Any) -> tuple[str, str]:
    image = output["data"].get("image/png", "").replace("\n", "")
    return image, output.get("metadata", {}).get("image/png", {}).get("alt", "")


def write_report(
    outcomes: Sequence[Outcome], out: Path, about: str, subject: str = "", planned: int = 0
) -> pd.DataFrame:
    """Write ``html/`` of the newest notebook, ``index.html`` and ``results.csv``."""
    for newest in outcomes[-1:]:
        with atomic(out / "html" / f"{newest.notebook}.html") as beside:
            beside.write_text(_page(newest), encoding="utf-8", errors="backslashreplace")
    rows = [
        {
            "notebook": printable(outcome.notebook),
            "status": "failed" if outcome.problem else "passed",
            "seconds": round(outcome.seconds, 1),
            "problem": printable(outcome.problem),
            **outcome.headline["figures"],
        }
        for outcome in outcomes
    ]
    results = pd.DataFrame(rows, columns=None if rows else ["notebook", "status", "seconds"])
    write_table(out / "results.csv", results)
    with atomic(out / "index.html") as beside:
        page = _index(outcomes, about, subject, planned)
        beside.write_text(page, encoding="utf-8", errors="backslashreplace")
    return results


def _page(outcome: Outcome) -> str:
    from nbconvert import HTMLExporter

    # No address of a content network: the page must work offline, and fetch nothing.
    addresses = dict.fromkeys(("mathjax_url", "require_js_url", "jquery_url", "mermaid_js_url"), "")
    exporter = HTMLExporter(
        extra_template_paths=[str(TEMPLATES)], template_file="notebook.html.j2", **addresses
    )
    page, _ = exporter.from_notebook_node(
        outcome.content, {"metadata": {"name": f"{outcome.title} - imgclf"}}
    )
    return page


def _index(outcomes: Sequence[Outcome], about: str, subject: str, planned: int) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    outcomes = sorted(outcomes, key=lambda outcome: outcome.notebook)  # in reading order
    failed = sum(bool(outcome.problem) for outcome in outcomes)
    verdict = f"{failed} failed" if failed else "all passed"
    count = f"{len(outcomes)} notebooks"
    if len(outcomes) < planned:
        count, verdict = f"{len(outcomes)} of {planned} notebooks so far", f"{failed} failed"
    minutes = sum(outcome.seconds for outcome in outcomes) / 60
    given = [(outcome, each) for outcome in outcomes for each in outcome.contributions]
    parts = {part: [pair for pair in given if pair[1].part == part] for part in PARTS}
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return templates.get_template("report.html").render(
        title=f"{subject}: image classification" if subject else "Image classification",
        facts=f"{count}, {verdict}, {minutes:.1f} minutes, {about},"
        f" imgclf {__version__}, {time.strftime('%Y-%m-%d %H:%M')}",
        headings=PARTS,
        parts={part: contributions for part, contributions in parts.items() if contributions},
        outcomes=outcomes,
    )
