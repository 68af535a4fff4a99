"""Walk through the findings of an audit, look at each, and decide: the decisions are a fix list."""

from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from imgclf_lib.audit import Audit, suggest_fixes
from imgclf_lib.errors import InputError
from imgclf_lib.findings import FINDINGS, SEVERITIES, count_findings
from imgclf_lib.fixes import ACTIONS, write_fixes
from imgclf_lib.plots import image_grid
from imgclf_lib.widgets.controls import note
from imgclf_lib.widgets.frame import Frame
from imgclf_lib.widgets.picture import Picture

PLACES = 6  # images in the picture of a finding
SIZE = 1.0  # of one image, in inches
EMPTY = [" \n \n "] * PLACES  # three lines above each image, so that the picture keeps its size
EVERY = ""  # the choice of all kinds, and of all severities
LONGEST = 40  # letters of a class name in a menu
BOX = "line-height: 1.4; overflow-wrap: anywhere; min-height: 8.5em"


class FindingWalk(Frame):
    """One finding at a time, with its pictures; a decision for its file; a list of all decisions.

    The list begins with the cautious suggestions of the audit; what one decides replaces them.

    Args:
        found: An audit.
        path: Where the fix list would be written; never inside the data.
    """

    def __init__(self, found: Audit, path: str = "fixes.csv") -> None:
        super().__init__("Walk through the findings")
        self.found = found
        self.fixes = suggest_fixes(found).set_index("path")
        self.decided: set[str] = set()
        self.shown, self._busy = found.findings, False
        self._make_controls(path)
        self.attempt(self._choose)
        self._count()

    @property
    def finding(self) -> Any:
        """The finding that is shown now, a row of ``Audit.findings``; None if there is none."""
        return self.shown.iloc[self.number.value - 1] if len(self.shown) else None

    def write(self) -> None:
        """Write the suggestions and decisions to the path in the text field.

        Raises:
            InputError: If the file exists already, or would lie inside the data.
        """
        if not self.place.value.strip():
            raise InputError("The fix list needs a name", do="Type one, such as fixes.csv")
        path = Path(self.place.value.strip()).expanduser()
        try:
            write_fixes(self.fixes.reset_index(), path, Path(self.found.place))
        except OSError as error:
            raise InputError(
                f"{str(path)!r} cannot be written ({error.strerror})", do="Choose another place"
            ) from error
        said = f"{len(self.fixes):,} files are in {path}. Use it with fixes={str(path)!r}."
        self.written.value = f'<div role="status">{note(said)}</div>'

    def _choose(self) -> None:
        """Show the findings of the kind and severity in the menus, from the first one."""
        rows = self.found.findings
        if self.kind.value != EVERY:
            rows = rows[rows["problem"] == self.kind.value]
        if self.severity.value != EVERY:
            rows = rows[rows["severity"] == self.severity.value]
        self.shown = rows
        self._step_to(1)

    def _step_to(self, number: int) -> None:
        self._busy = True  # the number that is set here need not answer
        try:
            # The value first: a browser would cut it down to a smaller maximum, and tell us so.
            self.number.value = min(max(1, number), max(1, len(self.shown)))
            self.number.max = max(1, len(self.shown))
        finally:
            self._busy = False
        self._show()

    def _show(self) -> None:
        if self._busy:
            return
        first, previous, following, last = self.buttons.values()
        first.disabled = previous.disabled = self.number.value <= 1
        following.disabled = last.disabled = self.number.value >= self.number.max
        row = self.finding
        if row is None:
            said = "Nothing was found." if self.found.findings.empty else "No such finding."
            self._say(note(said))
            self.picture.show(image_grid(_blank(self.found), EMPTY, PLACES), said)
        else:
            kind = FINDINGS[row["problem"]]
            head = f"{self.number.value:,} of {len(self.shown):,}, {row['severity']}"
            lines = [
                f"{head}: <b>{note(row['problem'])}</b>",
                f"<code>{note(row['path'])}</code>" if row["path"] else "",
                note(row["detail"]),
                note(f"{kind.meaning} {kind.do}"),
            ]
            self._say("<br>".join(filter(None, lines)))
            self.picture.show(*finding_picture(self.found, row))
        self._show_decision()

    def _say(self, markup: str) -> None:
        self.status.value = f'<div role="status" style="{BOX}">{markup}</div>'

    def _show_decision(self) -> None:
        """Set the controls of the decision, which need not answer to that."""
        row = self.finding
        possible = row is not None and row["path"] in self.fixes.index
        self._busy = True
        try:
            self.action.disabled = not possible
            self.label.disabled = True
            self.origin.value = "" if row is None else "Nothing can be decided for this one."
            if not possible:
                return
            action, label = (self.fixes.at[row["path"], name] for name in ("action", "label"))
            self.action.value = action
            self.label.disabled = action != "relabel"
            if label in self.classes:
                self.label.value = label
            mine = row["path"] in self.decided
            self.origin.value = "decided by you" if mine else "suggested by the audit"
        finally:
            self._busy = False

    def _decide(self) -> None:
        row = self.finding
        if self._busy or row is None:
            return
        action, path = self.action.value, row["path"]
        label = self.label.value if action == "relabel" else ""
        self.fixes.loc[path, ["action", "label"]] = [action, label]
        self.decided.add(path)
        self._show_decision()
        self._count()

    def _count(self) -> None:
        counts = self.fixes["action"].value_counts()
        parts = ", ".join(f"{name} {counts.get(name, 0):,}" for name in ACTIONS)
        self.counts.value = f"On the list: {parts}; decided by you: {len(self.decided):,}."

    def _make_controls(self, path: str) -> None:
        findings = self.found.findings
        counts = count_findings(findings)
        kinds = counts[["problem", "count"]].itertuples(index=False)
        by_severity = findings["severity"].value_counts()
        everything = (f"all ({len(findings):,})", EVERY)
        self.classes = sorted(set(self.found.table["label"]) - {""})
        by_kind = [(f"{one} ({number:,})", one) for one, number in kinds]
        self.kind = _menu("kind", [everything, *by_kind], "26em")
        self.severity = _menu(
            "severity",
            [everything, *((f"{one} ({by_severity.get(one, 0):,})", one) for one in SEVERITIES)],
            "15em",
        )
        self.number = ipywidgets.BoundedIntText(1, min=1, max=1, **_looks("11em", "finding"))
        self.buttons = {
            name: ipywidgets.Button(description=name, layout={"width": "6em"})
            for name in ("First", "Previous", "Next", "Last")
        }
        self.status, self.picture = ipywidgets.HTML(), Picture()
        self.action = _menu("decision", ACTIONS, "13em")
        self.label = _menu("new class", [(_cut(each), each) for each in self.classes], "22em")
        self.origin, self.counts = ipywidgets.HTML(), ipywidgets.HTML()
        self.place = ipywidgets.Text(path, **_looks("24em", "file"))
        self.save = ipywidgets.Button(description="Write the fix list", layout={"width": "11em"})
        self.written = ipywidgets.HTML()
        first, previous, following, last = self.buttons.values()
        for control in (self.kind, self.severity):
            self.react(control, self._choose)
        self.react(self.number, self._show)
        for control in (self.action, self.label):
            self.react(control, self._decide)
        self.react(first, lambda: self._step_to(1))
        self.react(previous, lambda: self._step_to(self.number.value - 1))
        self.react(following, lambda: self._step_to(self.number.value + 1))
        self.react(last, lambda: self._step_to(self.number.max))
        self.react(self.save, self.write)
        choose, turn, decide, save = (
            ipywidgets.HBox(row, layout={"flex_flow": "row wrap"})
            for row in (
                [self.kind, self.severity],
                [first, previous, self.number, following, last],
                [self.action, self.label, self.origin],
                [self.place, self.save],
            )
        )
        self.fill(
            [choose, turn, self.status, self.picture, decide, self.counts, save, self.written]
        )


def finding_picture(found: Audit, finding: pd.Series) -> tuple[Figure, str]:
    """The images that a finding is about: its own first, then those that it names.

    Args:
        found: An audit.
        finding: A row of its findings.

    Returns:
        A figure that always has room for six images, and what it shows, in words.
    """
    path, table = finding["path"], found.table
    paths = [path, *finding["related"]][:PLACES]
    if not (table["path"] == path).any():  # about a class: some of its images
        inside = table["path"].str.startswith(f"{path}/") | (table["label"] == path)
        paths = table.loc[inside & (table["problem"] == ""), "path"].head(PLACES).tolist()
    rows = table[table["path"].isin(paths)].drop_duplicates("path").set_index("path")
    pixels, titles, count = _blank(found), list(EMPTY), 0
    for place, each in enumerate(paths):
        picture, lines = found.picture(each), ["no picture"]
        if picture is not None:
            pixels[place], count = picture, count + 1
            lines = [text for text in rows.loc[each, ["split", "label"]] if text]
        lines = [" ".join(text.split()) or " " for text in (each.split("/")[-1], *lines, "", "")]
        titles[place] = "\n".join(lines[:3])
    shown = f"{count} image{'' if count == 1 else 's'}" if count else "No picture"
    alt = f"{shown}. {finding['problem']}: {path}. {finding['detail']}"
    return image_grid(pixels, titles, PLACES, size=SIZE), alt


def _blank(found: Audit) -> np.ndarray:
    return np.full((PLACES, *found.images.shape[1:]), 255, "uint8")


def _cut(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _menu(description: str, options: Any, width: str) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(options=options, **_looks(width, description))


def _looks(width: str, description: str) -> dict[str, Any]:
    layout = ipywidgets.Layout(width=width, max_width="98%")
    return {"description": description, "layout": layout, "style": {"description_width": "5em"}}
