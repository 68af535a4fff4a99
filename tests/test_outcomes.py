"""What the report reads from an executed notebook."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from imgclf_lib.headline import MIME_TYPE, REPORT_TYPE
from imgclf_lib.outcomes import Contribution, Outcome


def shown(**data: object) -> list:
    return [new_output("display_data", data, metadata={"image/png": {"alt": "Seen."}})]


def picture(name: str, *tags: str) -> object:
    return new_code_cell(outputs=shown(**{"image/png": f"{name}\n"}), metadata={"tags": list(tags)})


def outcome(*cells: object, problem: str = "") -> Outcome:
    return Outcome("05_x", new_notebook(cells=list(cells)), 3.21, problem)


def test_the_title_is_the_first_heading() -> None:
    assert outcome(new_markdown_cell("no"), new_markdown_cell("# Yes\nno")).title == "Yes"
    assert outcome().title == "05_x"


def test_the_last_headline_counts() -> None:
    said = [{"sentence": each, "figures": {"n": 1.0}} for each in ("First.", "Last.")]
    cells = [new_code_cell(outputs=shown(**{MIME_TYPE: each})) for each in said]
    assert outcome(*cells).headline == said[1]
    assert outcome().headline == {"sentence": "", "figures": {}}
    assert outcome(*cells).summary == "   3.2 s   Last."
    assert outcome(*cells, problem="cell 2").summary == "   3.2 s   FAILED in cell 2"


def test_the_picture_is_the_tagged_one_or_the_last() -> None:
    assert outcome(picture("a"), picture("b")).picture == ("b", "Seen.")
    assert outcome(picture("a", "picture"), picture("b")).picture == ("a", "Seen.")
    assert outcome().picture == ("", "")


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
    assert outcome(*cells).contributions == [
        Contribution("data", "T", "<ul></ul>", "", "Seen."),
        Contribution("data", "T", "", "p", "Seen."),
        Contribution("data", "T", "whole", "", "Seen."),
    ]


def test_a_headline_may_stand_at_the_top() -> None:
    said = {"sentence": "<b> wins.", "figures": {}, "part": "short"}
    cell = new_code_cell(outputs=shown(**{MIME_TYPE: said}))
    markup = "<ul><li>&lt;b&gt; wins.</li></ul>"
    assert outcome(cell).contributions == [Contribution("short", "", markup, "", "")]
