"""The report of a suite run: HTML pages, an index with pictures, a table of results."""

import html
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pandas as pd
from nbconvert import HTMLExporter

from imgclf_lib import __version__
from imgclf_lib.headline import MIME_TYPE

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fafafa;
       max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } .facts { color: #555; margin-top: .25rem; }
ol { list-style: none; padding: 0; display: grid; gap: 1rem;
     grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); }
li { background: white; border: 1px solid #ddd; border-radius: 8px; padding: 1rem; }
li.failed { border-color: #b00020; } .failed strong { color: #b00020; }
h2 { font-size: 1.1rem; margin: 0 0 .5rem; } img { width: 100%; height: 12rem;
     object-fit: contain; } a { color: #0052a3; } p { margin: .4rem 0 0; }
"""


class Outcome(NamedTuple):
    """What came of one notebook.

    Args:
        notebook: Its name, without the suffix.
        content: The executed notebook.
        seconds: How long it took.
        problem: Empty, or the cell that failed and why.
    """

    notebook: str
    content: nbformat.NotebookNode
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
        for output in _outputs(self.content):
            last = output.get("data", {}).get(MIME_TYPE, last)
        return last

    @property
    def picture(self) -> tuple[str, str]:
        """PNG in base64 and alternative text: of the cell tagged ``picture``, or the last one."""
        found = ("", "")
        for cell in self.content.cells:
            for output in cell.get("outputs", []):
                image = output.get("data", {}).get("image/png")
                if image:
                    text = output.get("metadata", {}).get("image/png", {}).get("alt", "")
                    found = (image.replace("\n", ""), text)
            if found[0] and "picture" in cell.metadata.get("tags", []):
                return found
        return found

    @property
    def summary(self) -> str:
        """One line: seconds, and the headline or the problem."""
        said = f"FAILED in {self.problem}" if self.problem else self.headline["sentence"]
        return f"{self.seconds:6.1f} s   {said}"


def write_report(outcomes: Sequence[Outcome], out: Path, about: str) -> pd.DataFrame:
    """Write ``html/`` of the newest notebook, ``index.html`` and ``results.csv``.

    Args:
        outcomes: All notebooks so far; earlier pages are there already.
        out: The folder of the suite run.
        about: Data and profile, for the index.

    Returns:
        What ``results.csv`` holds.
    """
    newest = outcomes[-1]
    page = out / "html" / f"{newest.notebook}.html"
    page.write_text(_page(newest), encoding="utf-8")
    rows = [
        {
            "notebook": outcome.notebook,
            "status": "failed" if outcome.problem else "passed",
            "seconds": round(outcome.seconds, 1),
            "problem": outcome.problem,
            **outcome.headline["figures"],
        }
        for outcome in outcomes
    ]
    results = pd.DataFrame(rows)
    results.to_csv(out / "results.csv", index=False)
    (out / "index.html").write_text(_index(outcomes, about), encoding="utf-8")
    return results


def _page(outcome: Outcome) -> str:
    # No address of a content network: the page must work offline, and fetch nothing.
    exporter = HTMLExporter(
        template_name="lab", mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url=""
    )
    page, _ = exporter.from_notebook_node(
        outcome.content, {"metadata": {"name": f"{outcome.title} - imgclf"}}
    )
    return page


def _index(outcomes: Sequence[Outcome], about: str) -> str:
    cards = []
    for outcome in sorted(outcomes, key=lambda outcome: outcome.notebook):  # in reading order
        picture, text = outcome.picture
        image = (
            f'<img src="data:image/png;base64,{picture}" alt="{html.escape(text, quote=True)}">'
            if picture
            else ""
        )
        said = (
            f"<strong>Failed in {html.escape(outcome.problem)}</strong>"
            if outcome.problem
            else html.escape(outcome.headline["sentence"])
        )
        cards.append(
            f'<li class="{"failed" if outcome.problem else "passed"}">'
            f'<h2><a href="html/{outcome.notebook}.html">{html.escape(outcome.title)}</a></h2>'
            f"{image}<p>{said}</p>"
            f'<p class="facts">{outcome.seconds:.0f} seconds</p></li>'
        )
    failed = sum(bool(outcome.problem) for outcome in outcomes)
    verdict = f"{failed} failed" if failed else "all passed"
    minutes = sum(outcome.seconds for outcome in outcomes) / 60
    facts = (
        f"{len(outcomes)} notebooks, {verdict}, {minutes:.1f} minutes, {about},"
        f" imgclf {__version__}, {time.strftime('%Y-%m-%d %H:%M')}"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>imgclf: the course</title>'
        f"<style>{STYLE}</style></head><body><h1>Image classification: the course</h1>"
        f'<p class="facts">{html.escape(facts)}</p><ol>{"".join(cards)}</ol></body></html>\n'
    )


def _outputs(notebook: nbformat.NotebookNode) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]
