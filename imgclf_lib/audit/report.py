"""What is wrong with a data set: all that can be found, in one table, in words and as JSON."""

import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imgclf_lib.audit.checks import (
    class_findings,
    file_findings,
    group_twins,
    second_look,
    twin_findings,
)
from imgclf_lib.audit.findings import SEVERITIES, count_findings, make_findings, sort_findings
from imgclf_lib.audit.labels import Judged, label_findings
from imgclf_lib.audit.leakage import Leaks, measure_leaks
from imgclf_lib.data import FIX_COLUMNS, inspect_data, load_data, look_for_tracks, read_fixes
from imgclf_lib.errors import printable
from imgclf_lib.experiment import Experiment

WIDTH = 100  # characters of a line of prose
LONGEST = 140  # characters of an example


@dataclass(frozen=True, eq=False)
class Audit:
    """A data set, and what was found about it.

    Args:
        name: Known name, or the name of the folder, list or archive.
        place: The known name, or the whole path of the folder, list or archive.
        experiment: What said which data.
        table: A row a file, with the columns of ``listing.COLUMNS``; splits as they were given.
        findings: A row a finding, with the columns ``severity``, ``problem`` (a kind of
            ``findings.FINDINGS``), ``path``, ``detail``, ``related`` (tuple of other paths),
            ``action`` and ``label`` (what is suggested); most severe first.
        images: ``uint8`` array of shape ``(m, size, size, channels)``: the used images.
        places: ``int64`` array of shape ``(n,)``: for each row of the table its place in
            ``images``, or -1.
        leakage: What leaked images do to a score; None if it was not asked for.
        judged: Whose labels were judged; None if it was not asked for.
    """

    name: str
    place: str
    experiment: Experiment
    table: pd.DataFrame
    findings: pd.DataFrame
    images: np.ndarray
    places: np.ndarray
    leakage: Leaks | None = None
    judged: Judged | None = None

    @property
    def files(self) -> int:
        """How many files there are."""
        return len(self.table)

    @property
    def accepted(self) -> int:
        """How many of them are used."""
        return int((self.table["problem"] == "").sum())

    @property
    def rejected(self) -> int:
        """How many of them are not used."""
        return self.files - self.accepted

    def picture(self, path: str) -> np.ndarray | None:
        """The decoded image of a file.

        Args:
            path: As in the table.

        Returns:
            ``uint8`` array of shape ``(size, size, channels)``; None if the file is not used.
        """
        rows = np.flatnonzero((self.table["path"] == path).to_numpy())
        known = self.places[rows][self.places[rows] >= 0]
        return self.images[known[0]] if len(known) else None


def audit(experiment: Experiment, label_errors: bool = False, leakage: bool = False) -> Audit:
    """Look at every file of a data set. Nothing in the folder is changed.

    Args:
        experiment: Its data fields say which files.
        label_errors: Whether to look for labels that are probably wrong, which trains networks;
            never among test images that were given.
        leakage: Whether to measure what images do that are in more than one split.

    Returns:
        The files and the findings.

    Raises:
        InputError: If the data does not exist, or what was asked for cannot be measured.
    """
    if experiment.fixes:
        read_fixes(experiment.fixes)  # before the work: it may not be there
    found = inspect_data(experiment)
    table = found.table.reset_index(drop=True)
    folder = Path(found.place)
    kinds, details = zip(*found.remarks, strict=True) if found.remarks else ((), ())
    parts = [
        make_findings(kinds, [""] * len(kinds), details),
        file_findings(table, found.images, found.places, experiment.resize == "pad"),
        class_findings(table, folder if folder.is_dir() else None),
        twin_findings(table, second_look(table, found.pairs, found.images, found.places)),
    ]
    tracks = look_for_tracks(found)
    if tracks:
        parts.append(make_findings("tracks", [tracks.example], [tracks.detail]))
    judged = None
    if label_errors:
        given = ((table["split"] == "test") & (table["problem"] == "")).any()
        rows, judged = label_findings(experiment, load_data(experiment), found.pairs, bool(given))
        parts.append(rows)
    findings = sort_findings(parts)
    leak = None
    if leakage:
        groups = group_twins(table, found.pairs)
        leak = measure_leaks(table, found.images, found.places, groups)
    facts = (found.name, found.place, experiment, table, findings, found.images, found.places)
    return Audit(*facts, leak, judged)


def twin_pictures(
    found: Audit, problem: str, count: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[str]]:
    """Pairs of pictures behind findings about duplicates, as ``audit_plots.pair_grid`` draws them.

    Args:
        found: An audit.
        problem: A kind of finding, such as ``duplicate across splits``.
        count: How many pairs at most; they are taken from all over the list.

    Returns:
        Two ``uint8`` arrays for each pair, and a caption of two lines: split and class of each.
    """
    rows = found.findings[found.findings["problem"] == problem]
    pairs = sorted(
        {
            (min(path, twin), max(path, twin))
            for path, related in zip(rows["path"], rows["related"], strict=True)
            for twin in related[:1]
        }
    )
    some = np.linspace(0, max(0, len(pairs) - 1), min(count, len(pairs))).round().astype(int)
    facts = found.table[["path", "split", "label"]].assign(place=found.places)
    facts = facts[facts["place"] >= 0].set_index("path")
    captions = facts["split"].str.cat(facts["label"], " ").str.strip()
    images, places = found.images, facts["place"]
    return (
        [(images[places[one]], images[places[two]]) for one, two in (pairs[at] for at in some)],
        ["\n".join(captions[list(pairs[at])]) for at in some],
    )


def suggest_fixes(found: Audit) -> pd.DataFrame:
    """The findings as a fix list: a cautious proposal that a person goes through.

    Suggested is ``exclude`` where a file cannot be read or is there twice, and ``keep`` for all
    that needs eyes. Where a label looks wrong, ``keep`` stands beside the other class: whoever
    agrees writes ``relabel``. What the audit's own fix list said stays as it was.

    Args:
        found: An audit.

    Returns:
        A row a file, sorted as the findings are, with the columns ``path``, ``action``,
        ``label``, ``group``, ``problem`` and ``detail``.
    """
    rows = found.findings[found.findings["action"] != ""]
    joined = rows.groupby("path", sort=False).agg(
        action=("action", lambda each: "exclude" if (each == "exclude").any() else "keep"),
        label=("label", "max"),
        problem=("problem", "; ".join),
        detail=("detail", "; ".join),
    )
    known = found.table.drop_duplicates("path").set_index("path")["group"]
    table = joined.assign(group=known.reindex(joined.index).fillna("")).reset_index()
    if found.experiment.fixes:
        earlier = read_fixes(found.experiment.fixes)
        table = pd.concat([earlier, table]).drop_duplicates("path").fillna("")
    return table[list(FIX_COLUMNS)].reset_index(drop=True)


def audit_lines(audit: Audit) -> list[str]:
    """A summary for people: counts, a row for each kind of finding, and what to do next.

    Args:
        audit: An audit.

    Returns:
        Lines of text that are safe to print, whatever the files are called.
    """
    counts = count_findings(audit.findings)
    lines = [
        f"{audit.name}: {audit.files:,} file{'s' * (audit.files != 1)},"
        f" {audit.accepted:,} accepted, {audit.rejected:,} rejected",
        "",
    ]
    if counts.empty:
        lines.append("Nothing was found that needs a look.")
    else:
        widest = max(len("problem"), counts["problem"].str.len().max())
        lines.append(f"{'severity':8}  {'count':>7}  {'problem':{widest}}  example")
        for row in counts.itertuples():
            example = ": ".join(filter(None, (row.path, row.detail)))
            lines.append(
                f"{row.severity:8}  {row.count:7,}  {row.problem:{widest}}  {_short(example)}"
            )
        lines += ["", "What they mean:"]
        for row in counts.itertuples():
            said = f"  {row.problem}: {row.meaning} {row.do}"
            lines += textwrap.wrap(said, WIDTH, subsequent_indent="    ")
    for part in (audit.judged, audit.leakage):
        if part is not None:
            lines += ["", *textwrap.wrap(part.sentence, WIDTH)]
    data = shlex.quote(audit.experiment.data)
    if (audit.findings["action"] != "").any():
        lines += [
            "",
            "What to do next:",
            f"  imgclf audit {data} --fix_list fixes.csv   writes a list to edit; every command"
            " takes it with --fixes fixes.csv",
            f"  imgclf run 08 --data {data}   shows the findings as pictures",
        ]
    return [printable(line) for line in lines]


def audit_json(audit: Audit) -> dict[str, Any]:
    """An audit as JSON can hold it.

    Args:
        audit: An audit.

    Returns:
        ``data``, ``files``, ``accepted``, ``rejected``, ``counts`` (findings by severity),
        ``findings`` (a list of ``path``, ``problem``, ``detail``, ``severity``, ``related``);
        ``labels`` (how many were ``judged``, of how many ``images``) and ``leakage`` if they were
        asked for.
    """
    columns = ["path", "problem", "detail", "severity", "related"]
    severities = audit.findings["severity"].value_counts()
    content: dict[str, Any] = {
        "data": audit.name,
        "files": audit.files,
        "accepted": audit.accepted,
        "rejected": audit.rejected,
        "counts": {name: int(severities.get(name, 0)) for name in SEVERITIES},
        "findings": audit.findings[columns].to_dict("records"),
    }
    if audit.judged is not None:
        content["labels"] = audit.judged.metrics
    if audit.leakage is not None:
        content["leakage"] = audit.leakage.metrics
    return content


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
