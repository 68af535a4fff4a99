"""What a notebook says to the report, what is read back, and the report: whole, safe, for all."""

import base64
import html.parser
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import IPython.display
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from imgclf_lib.course import for_report, headline
from imgclf_lib.course.report import (
    MIME_TYPE,
    PARTS,
    REPORT_TYPE,
    Contribution,
    Outcome,
    write_report,
)
from imgclf_lib.errors import InputError
from imgclf_lib.plots import mime_bundle, new_axes

DOT = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)
HOSTILE = """<img src=x onerror=alert(1)> &amp; 猫 قطة "q" 'p' {{ 7 * 7 }} $x$"""
CODE = (
    """# every kind of word that is coloured
@decorated
def f(x: int = 0x1F, *, name=f"{1}\\n") -> None:
    \"\"\"Say it.\"\"\"
    return x is not None and len(name) > 1.5e3 or [not True, r'raw', b"b"] $ ?
%time f()
"""
    + f"long = {list(range(90))}"
)
SCRIPT = "<script>alert('猫')</script> & $x$ " + "n" * 200


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was displayed: a list of bundles, each with its metadata."""
    kept: list[Any] = []
    monkeypatch.setattr(IPython.display, "display", lambda *what, **how: kept.append((what, how)))
    return kept


def test_a_headline_is_text_and_figures(displayed: list[Any]) -> None:
    headline("91 % of the images are right.", accuracy=np.float32(0.5), images=3)
    [((bundle,), how)] = displayed
    assert how == {"raw": True}
    assert bundle["text/plain"] == "91 % of the images are right."
    assert bundle[MIME_TYPE] == {
        "sentence": "91 % of the images are right.",
        "figures": {"accuracy": 0.5, "images": 3.0},
    }
    json.dumps(bundle)
    headline("Above all.", in_short=True)
    assert displayed[1][0][0][MIME_TYPE] == {
        "sentence": "Above all.",
        "figures": {},
        "part": "short",
    }


def test_sentences_for_the_report(displayed: list[Any]) -> None:
    for_report("next", ["One & <two>.", "Three."], "Do")
    for_report("next", [])
    for_report("short", "Alone.")
    [((bundle,), _), ((alone,), _)] = displayed
    assert bundle["text/html"] == "<ul><li>One &amp; &lt;two&gt;.</li><li>Three.</li></ul>"
    assert bundle["text/plain"] == "One & <two>.\nThree."
    assert bundle[REPORT_TYPE] == {"part": "next", "title": "Do"}
    assert alone["text/html"] == "<ul><li>Alone.</li></ul>"
    json.dumps(bundle)


def test_a_table_for_the_report_keeps_whole_names_as_text(displayed: list[Any]) -> None:
    for_report("data", pd.DataFrame({"images": [3]}, index=[SCRIPT]), "Classes")
    [((bundle,), _)] = displayed
    assert "<script>" not in bundle["text/html"]
    assert "n" * 200 in bundle["text/html"], "names are not cut in tables"
    assert "&amp; $x$" in bundle["text/html"]


def test_a_long_table_is_short_in_the_notebook_and_whole_in_the_report(
    displayed: list[Any],
) -> None:
    for_report("data", pd.DataFrame({"images": range(1000, 1200)}))
    [((bundle,), _)] = displayed
    assert bundle["text/html"].count("<tr") < 70
    assert bundle[REPORT_TYPE]["table"].count("<td>") == 200


def test_a_drawing_for_the_report(displayed: list[Any]) -> None:
    axes = new_axes()
    for_report("result", axes, "Curve", alt="A curve that rises.")
    [((bundle,), how)] = displayed
    shown, metadata = mime_bundle(axes, "A curve that rises.")
    assert bundle == {**shown, REPORT_TYPE: {"part": "result", "title": "Curve"}}
    assert how["metadata"] == metadata == {"image/png": {"alt": "A curve that rises."}}


def test_a_picture_is_once_on_the_pages_with_its_alternative_text(
    displayed: list[Any], out: Path
) -> None:
    alt = 'A "curve" & <more>.'
    for_report("result", new_axes(), "Curve", alt=alt)
    [((bundle,), how)] = displayed
    data = {**bundle, "image/png": base64.b64encode(bundle["image/png"]).decode()}
    output = new_output("display_data", data, metadata=how["metadata"])
    outcome = outcome_of(new_markdown_cell("# T"), new_code_cell(outputs=[output]))
    assert [each.markup for each in outcome.contributions] == [""], "the picture, not its HTML"
    pictures = [each for tag, each in Reader(index_of(out, outcome)).tags if tag == "img"]
    assert [each["alt"] for each in pictures] == [alt, alt], "in its part, and on the card"
    page = (out / "html" / "05_x.html").read_text(encoding="utf-8")
    [picture] = re.findall("<img[^>]+>", page)
    [(_, attributes)] = Reader(picture.replace("/>", ">")).tags
    assert attributes["alt"] == alt


def test_only_known_parts() -> None:
    with pytest.raises(InputError, match=", ".join(PARTS)):
        for_report("appendix", "Nothing.")


def shown(**data: object) -> list[Any]:
    return [new_output("display_data", data, metadata={"image/png": {"alt": "Seen."}})]


def picture(name: str, *tags: str) -> object:
    return new_code_cell(outputs=shown(**{"image/png": f"{name}\n"}), metadata={"tags": list(tags)})


def outcome_of(*cells: object, problem: str = "") -> Outcome:
    return Outcome("05_x", new_notebook(cells=list(cells)), 3.21, problem)


def test_the_title_is_the_first_heading() -> None:
    assert outcome_of(new_markdown_cell("no"), new_markdown_cell("# Yes\nno")).title == "Yes"
    assert outcome_of().title == "05_x"


def test_the_last_headline_counts() -> None:
    said = [{"sentence": each, "figures": {"n": 1.0}} for each in ("First.", "Last.")]
    cells = [new_code_cell(outputs=shown(**{MIME_TYPE: each})) for each in said]
    assert outcome_of(*cells).headline == said[1]
    assert outcome_of().headline == {"sentence": "", "figures": {}}
    assert outcome_of(*cells).summary == "   3.2 s   Last."
    assert outcome_of(*cells, problem="cell 2").summary == "   3.2 s   FAILED in cell 2"


def test_the_picture_is_the_tagged_one_or_the_last() -> None:
    assert outcome_of(picture("a"), picture("b")).picture == ("b", "Seen.")
    assert outcome_of(picture("a", "picture"), picture("b")).picture == ("a", "Seen.")
    assert outcome_of().picture == ("", "")


def test_contributions_come_in_their_order() -> None:
    about = {"part": "data", "title": "T"}
    cells = [
        new_code_cell(outputs=shown(**{REPORT_TYPE: about, "text/html": "<ul></ul>"})),
        new_code_cell(outputs=shown(**{"text/html": "not for the report"})),
        new_code_cell(outputs=shown(**{REPORT_TYPE: about, "image/png": "p\n"})),
        new_code_cell(
            outputs=shown(**{REPORT_TYPE: {**about, "table": "whole"}, "text/html": "short"})
        ),
    ]
    assert outcome_of(*cells).contributions == [
        Contribution("data", "T", "<ul></ul>", "", "Seen."),
        Contribution("data", "T", "", "p", "Seen."),
        Contribution("data", "T", "whole", "", "Seen."),
    ]


def test_a_headline_may_stand_at_the_top() -> None:
    said = {"sentence": "<b> wins.", "figures": {}, "part": "short"}
    cell = new_code_cell(outputs=shown(**{MIME_TYPE: said}))
    markup = "<ul><li>&lt;b&gt; wins.</li></ul>"
    assert outcome_of(cell).contributions == [Contribution("short", "", markup, "", "")]


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
    """Texts, tags with their attributes, and whether every element is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

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
    assert reader.texts.count(f"{HOSTILE}: image classification") == 2, "title and heading"
    assert {f"The best is {HOSTILE}.", f"data of {HOSTILE}"} <= set(reader.texts)
    assert f"data of {HOSTILE}" in [attributes.get("aria-label") for _, attributes in reader.tags]
    assert {each["alt"] for tag, each in reader.tags if tag == "img"} == {f"About {HOSTILE}"}
    assert not [tag for tag, attributes in reader.tags if "onerror" in attributes]
    assert not [tag for tag, _ in reader.tags if tag in ("script", "link", "iframe")]
    for tag, attributes in reader.tags:
        target = attributes.get("src") or attributes.get("href") or "#"
        assert re.match(r"#|html/|data:image/png;base64,", target), (tag, target)
    assert "url(" not in page
    assert "@import" not in page


def test_names_are_text_on_the_page_of_a_notebook_too(out: Path) -> None:
    """What stands in the cells of a notebook itself may be markup; what they show may not."""
    given = notebook(HOSTILE[:60].replace("/", ""))
    given.content.cells = given.content.cells[1:]
    write_report([given], out, "profile quick")
    [page] = (out / "html").iterdir()
    text = page.read_text(encoding="utf-8")
    assert "onerror" in text
    assert not re.search(r"<[^>]*onerror", re.sub(r'"[^"<]*"', '""', text))


def test_names_that_are_no_unicode_are_shown_as_escapes(out: Path) -> None:
    broken = notebook("01_a", problem="code cell 1, \udcff\x1b")
    page = index_of(out, broken, subject="\udcff.zip")
    assert r"\udcff.zip: image classification" in page
    assert r"\udcff\x1b" in (out / "results.csv").read_text(encoding="utf-8")


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


def test_an_unfinished_report_says_so(out: Path) -> None:
    write_report([], out, "profile quick", "birds", planned=3)
    assert "0 of 3 notebooks so far, 0 failed" in (out / "index.html").read_text(encoding="utf-8")
    assert list(pd.read_csv(out / "results.csv")["notebook"]) == []
    write_report([notebook("01_a"), notebook("05_b")], out, "profile quick", "birds", planned=3)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "2 of 3 notebooks so far, 0 failed" in page
    assert "all passed" not in page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_grave(
    out: Path, browser: Any, accessible: Callable[..., None], scheme: str
) -> None:
    colors = "".join(f"\x1b[{code}mwords\x1b[0m " for code in [*range(30, 38), *range(90, 98)])
    wide = pd.DataFrame([range(1000, 1040)] * 3)
    failed = notebook("01_a", problem="code cell 2, ValueError")
    failed.content.cells += [
        new_markdown_cell(f"## Text\nRead [on](02_b.ipynb) in `code`.\n\n{wide.to_html()}"),
        new_code_cell(
            CODE,
            execution_count=1,
            outputs=[
                new_output("stream", name="stdout", text="said " * 90),
                new_output("stream", name="stderr", text=f"warned {colors}"),
                new_output("execute_result", {"text/html": wide.to_html()}, execution_count=1),
                new_output(
                    "error", ename="ValueError", evalue="no", traceback=[colors, "at " * 90]
                ),
            ],
        ),
    ]
    index_of(out, notebook("05_b"), failed)
    page = browser.new_page()
    page.emulate_media(color_scheme=scheme)
    for name, width in itertools.product(("index.html", "html/01_a.html"), (1200, 390)):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto((out / name).as_uri())
        accessible(page)
    page.close()


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
