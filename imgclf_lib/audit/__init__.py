"""What is wrong with the data: files, classes, copies, labels, leaks.

``audit`` looks at every file and returns findings, each with its severity, what it means, and
what to do. ``suggest_fixes`` turns them into a list that a person edits and training reads.
Nothing is changed, moved or deleted.

Notebook 08, Your own images, teaches it.
"""

from imgclf_lib.audit.findings import FINDINGS, SEVERITIES, count_findings
from imgclf_lib.audit.report import (
    Audit,
    audit,
    audit_json,
    audit_lines,
    suggest_fixes,
    twin_pictures,
)

__all__ = [
    "FINDINGS",
    "SEVERITIES",
    "Audit",
    "audit",
    "audit_json",
    "audit_lines",
    "count_findings",
    "suggest_fixes",
    "twin_pictures",
]
