"""The report of a suite run: HTML pages, an index that is a report on the data, a table."""

import html
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from nbconvert import HTMLExporter

from imgclf_lib import __version__
from imgclf_lib.headline import PARTS
from imgclf_lib.outcomes import Contribution, Outcome

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fafafa;
       max-width: 72rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { margin: 0; line-height: 1.2; } h2 { margin: 2.5rem 0 .5rem; border-bottom: 2px solid #0052a3; }
h3 { font-size: 1.05rem; margin: 0 0 .5rem; } a { color: #0052a3; }
.facts { color: #555; margin: .25rem 0; } nav a { margin-right: 1.2rem; }
.short { background: white; border-left: 5px solid #0052a3; padding: .5rem 1rem .5rem 2rem; }
.short li { font-size: 1.15rem; margin: .4rem 0; } .next li { margin: .5rem 0; }
.part { display: grid; gap: 1rem; align-items: start;
        grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); }
.part section, .cards > li { background: white; border: 1px solid #ddd; border-radius: 8px;
        padding: 1rem; min-width: 0; }
.part img { max-width: 100%; height: auto; display: block; margin: auto; }
.scroll { overflow: auto; max-height: 26rem; } ul { margin: 0; padding-left: 1.2rem; }
table { border-collapse: collapse; font-size: .9rem; overflow-wrap: normal; }
tbody th { overflow-wrap: anywhere; min-width: 5rem; } tr { border-top: 1px solid #e4e4e4; }
th, td { text-align: left; padding: .25rem .6rem; vertical-align: top; }
td { font-variant-numeric: tabular-nums; } thead tr { border: 0; }
.cards { list-style: none; padding: 0; display: grid; gap: 1rem;
         grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
.cards img { width: 100%; height: 12rem; object-fit: contain; } .cards p { margin: .4rem 0 0; }
.failed { border-color: #b00020 !important; } .failed strong { color: #b00020; }
@media print {
  body { background: white; margin: 0; max-width: none; font-size: 11pt; } nav { display: none; }
  .scroll { max-height: none; overflow: visible; } h2, h3 { break-after: avoid; }
  .part section, .cards > li { break-inside: avoid; } }
"""


def write_report(
    outcomes: Sequence[Outcome], out: Path, about: str, subject: str = ""
) -> pd.DataFrame:
    """Write ``html/`` of the newest notebook, ``index.html`` and ``results.csv``.

    Args:
        outcomes: All notebooks so far; earlier pages are there already.
        out: The folder of the suite run.
        about: Profile and the like, for the index.
        subject: Name of the data, for the title of the index.

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
    (out / "index.html").write_text(_index(outcomes, about, subject), encoding="utf-8")
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


def _index(outcomes: Sequence[Outcome], about: str, subject: str) -> str:
    outcomes = sorted(outcomes, key=lambda outcome: outcome.notebook)  # in reading order
    failed = sum(bool(outcome.problem) for outcome in outcomes)
    verdict = f"{failed} failed" if failed else "all passed"
    minutes = sum(outcome.seconds for outcome in outcomes) / 60
    facts = (
        f"{len(outcomes)} notebooks, {verdict}, {minutes:.1f} minutes, {about},"
        f" imgclf {__version__}, {time.strftime('%Y-%m-%d %H:%M')}"
    )
    parts = {
        part: [
            (outcome, each)
            for outcome in outcomes
            for each in outcome.contributions
            if each.part == part
        ]
        for part in PARTS
    }
    parts = {part: given for part, given in parts.items() if given}
    title = html.escape(f"{subject}: image classification" if subject else "Image classification")
    links = "".join(f'<a href="#{part}">{PARTS[part]}</a>' for part in parts)
    cards = "".join(_card(outcome) for outcome in outcomes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><header><h1>{title}</h1>"
        f'<p class="facts">{html.escape(facts)}</p>'
        f'<nav aria-label="Parts">{links}<a href="#notebooks">The notebooks</a></nav></header>'
        f"<main>{''.join(_part(part, given) for part, given in parts.items())}"
        f'<h2 id="notebooks">The notebooks</h2><ol class="cards">{cards}</ol></main>'
        "</body></html>\n"
    )


def _part(part: str, given: Sequence[tuple[Outcome, Contribution]]) -> str:
    heading = f'<h2 id="{part}">{PARTS[part]}</h2>'
    if part in ("short", "next"):  # lists alone: one list of all sentences
        items = "".join(each.markup.removeprefix("<ul>").removesuffix("</ul>") for _, each in given)
        return f'{heading}<ul class="{part}">{items}</ul>'
    return f'{heading}<div class="part">{"".join(_section(*each) for each in given)}</div>'


def _section(outcome: Outcome, given: Contribution) -> str:
    source = (
        f'<p class="facts">From <a href="html/{_address(outcome)}">{html.escape(outcome.title)}</a>'
    )
    heading = f"<h3>{html.escape(given.title)}</h3>" if given.title else ""
    if given.picture:
        shown = _image(given.picture, given.alt)
    else:
        label = html.escape(given.title or "table", quote=True)
        shown = (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
            f"{given.markup}</div>"
        )
    return f"<section>{heading}{shown}{source}</p></section>"


def _card(outcome: Outcome) -> str:
    picture, alt = outcome.picture
    said = html.escape(outcome.headline["sentence"])
    if outcome.problem:
        said = f"<strong>Failed in {html.escape(outcome.problem)}</strong>"
    return (
        f'<li class="{"failed" if outcome.problem else "passed"}">'
        f'<h3><a href="html/{_address(outcome)}">{html.escape(outcome.title)}</a></h3>'
        f"{_image(picture, alt) if picture else ''}<p>{said}</p>"
        f'<p class="facts">{outcome.seconds:.0f} seconds</p></li>'
    )


def _image(picture: str, alt: str) -> str:
    return f'<img src="data:image/png;base64,{picture}" alt="{html.escape(alt, quote=True)}">'


def _address(outcome: Outcome) -> str:
    return quote(f"{outcome.notebook}.html")
