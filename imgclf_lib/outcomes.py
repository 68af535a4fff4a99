"""What came of a notebook: its title, headline, picture, and what it says to the report."""

import html
from collections.abc import Iterator
from typing import Any, NamedTuple

import nbformat

from imgclf_lib.headline import MIME_TYPE, REPORT_TYPE


class Contribution(NamedTuple):
    """One thing that a notebook gives to the report.

    Args:
        part: Where in the report, a key of ``headline.PARTS``.
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
