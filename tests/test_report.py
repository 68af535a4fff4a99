"""The index of a suite run as a report: whole, safe, self-contained, and fit for every reader."""

import html.parser
import itertools
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from imgclf_lib.headline import MIME_TYPE, REPORT_TYPE
from imgclf_lib.outcomes import Outcome
from imgclf_lib.report import write_report

DOT = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)
HOSTILE = '<img src=x onerror=alert(1)> & 猫 "q" $x$'


def notebook(name: str, problem: str = "") -> Outcome:
    told = [
        ("short", {"text/html": "<ul><li>120 images in 2 classes.</li></ul>"}),
        ("data", {"text/html": pd.DataFrame({"images": [3]}, index=[HOSTILE]).to_html(border=0)}),
        ("result", {"image/png": DOT}),
        ("next", {"text/html": "<ul><li>Collect more.</li></ul>"}),
    ]
    outputs = [
        new_output(
            "display_data",
            {**data, REPORT_TYPE: {"part": part, "title": f"{part} of {HOSTILE}"}},
            metadata={"image/png": {"alt": f"About {HOSTILE}"}},
        )
        for part, data in told
    ]
    said = {"sentence": f"The best is {HOSTILE}.", "figures": {"n": 1}}
    outputs.append(new_output("display_data", {MIME_TYPE: said, "text/plain": said["sentence"]}))
    cells = [new_markdown_cell(f"# {name} {HOSTILE}"), new_code_cell(outputs=outputs)]
    return Outcome(name, new_notebook(cells=cells), 1, problem)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "html").mkdir()
    return tmp_path


class Reader(html.parser.HTMLParser):
    """Headings, tags with their attributes, and whether every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def index_of(out: Path, *outcomes: Outcome, subject: str = "birds") -> str:
    write_report(outcomes, out, "profile quick", subject)
    return (out / "index.html").read_text(encoding="utf-8")


def test_the_parts_stand_in_order_and_name_their_notebook(out: Path) -> None:
    page = index_of(out, notebook("05_b"), notebook("01_a"))
    order = re.findall(r'<h2 id="(\w+)">', page)
    assert order == ["short", "data", "result", "next", "notebooks"]
    assert page.index("data of", page.index('id="data"')) < page.index('id="result"')
    data = page[page.index('id="data"') : page.index('id="result"')]
    assert data.index("html/01_a.html") < data.index("html/05_b.html")
    assert page.count("<li>120 images in 2 classes.</li>") == 2
    assert "<title>birds: image classification</title>" in page


def test_parts_that_nothing_was_given_to_are_not_there(out: Path) -> None:
    bare = Outcome("x", new_notebook(cells=[]), 1, "")
    assert re.findall(r'<h2 id="(\w+)">', index_of(out, bare)) == ["notebooks"]


def test_names_are_text_and_nothing_is_fetched(out: Path) -> None:
    page = index_of(out, notebook("01_a"), subject=HOSTILE)
    reader = Reader(page)
    assert not [tag for tag, attributes in reader.tags if "onerror" in attributes]
    assert not [tag for tag, _ in reader.tags if tag in ("script", "link", "iframe")]
    for tag, attributes in reader.tags:
        target = attributes.get("src") or attributes.get("href") or "#"
        assert re.match(r"#|html/|data:image/png;base64,", target), (tag, target)
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_can_be_read_by_everybody(out: Path) -> None:
    reader = Reader(index_of(out, notebook("01_a"), notebook("05_b")))
    tags = [tag for tag, _ in reader.tags]
    assert tags.count("h1") == 1
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h\d", tag)]
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(attributes["alt"] for tag, attributes in reader.tags if tag == "img")
    assert ("html", {"lang": "en"}) in reader.tags
    assert [attributes for tag, attributes in reader.tags if attributes.get("name") == "viewport"]
    scrolled = [attributes for _, attributes in reader.tags if attributes.get("class") == "scroll"]
    assert scrolled
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in scrolled)
    assert {"main", "header", "nav"} <= set(tags)


def test_failed_notebooks_are_said_at_the_top(out: Path) -> None:
    page = index_of(out, notebook("01_a", problem="code cell 3, <b>"), notebook("05_b"))
    assert "2 notebooks, 1 failed" in page
    assert "Failed in code cell 3, &lt;b&gt;" in page


def test_a_report_fits_a_phone_and_paper(out: Path, browser: Any, shots: Path) -> None:
    wide = pd.DataFrame([range(100, 140)] * 90)
    long = notebook("01_a")
    long.content.cells[1].outputs[1].data["text/html"] = wide.to_html(border=0)
    index_of(out, long, notebook("05_b"))
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto((out / "index.html").as_uri())
    across = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert across[0] <= across[1]
    page.emulate_media(media="print")
    heights = page.evaluate(
        "[...document.querySelectorAll('.scroll')].map(e => [e.clientHeight, e.scrollHeight])"
    )
    assert all(shown == whole for shown, whole in heights), "all rows are printed"
    page.screenshot(path=shots / "report_print.png", full_page=True)
    page.close()
    assert {address.partition(":")[0] for address in asked} <= {"file", "data"}
