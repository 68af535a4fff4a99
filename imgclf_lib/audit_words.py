"""An audit in words for a terminal, and as an object for JSON."""

import shlex
import textwrap
from typing import Any

from imgclf_lib.audit import Audit
from imgclf_lib.findings import SEVERITIES, count_findings

WIDTH = 100  # characters of a line of prose
LONGEST = 140  # characters of an example


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
            example = f"{row.path}: {row.detail}" if row.detail else row.path
            lines.append(
                f"{row.severity:8}  {row.count:7,}  {row.problem:{widest}}  {_short(example)}"
            )
        lines += ["", "What they mean:"]
        for row in counts.itertuples():
            said = f"  {row.problem}: {row.meaning} {row.do}"
            lines += textwrap.wrap(said, WIDTH, subsequent_indent="    ")
    if audit.leakage is not None:
        lines += ["", *textwrap.wrap(audit.leakage.sentence, WIDTH)]
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
        ``findings`` (a list of ``path``, ``problem``, ``detail``, ``severity``, ``related``), and
        ``leakage`` if it was measured.
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
    if audit.leakage is not None:
        content["leakage"] = audit.leakage.figures
    return content


def printable(text: str) -> str:
    """Text that does nothing to a terminal.

    Args:
        text: Anything; names of files and classes are not to be trusted.

    Returns:
        The text with control characters, marks that turn the direction of writing, and all
        other invisible characters written as escapes such as ``\\x1b``.
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
