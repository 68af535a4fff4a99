"""An audit in words: aligned, safe to print; and as JSON, exact."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.audit import Audit
from imgclf_lib.audit_words import audit_json, audit_lines, printable
from imgclf_lib.experiment import Experiment
from imgclf_lib.findings import make_findings, sort_findings

WILD = "cat/\x1b[31mred\n\u202egpj.猫"


def an_audit(findings: pd.DataFrame, leakage=None) -> Audit:
    table = pd.DataFrame({"path": [WILD, "a", "b"], "problem": ["damaged", "", ""]})
    nothing = np.zeros((0, 2, 2, 1), "uint8")
    experiment = Experiment(data="my photos")
    place = "/somewhere/my photos"
    return Audit("my photos", place, experiment, table, findings, nothing, np.arange(3), leakage)


@pytest.fixture
def found() -> Audit:
    parts = [
        make_findings("damaged", [WILD], ["broken"], action="exclude"),
        make_findings("duplicate", ["b", "a"], ["same bytes as a", "…"], [("a",), ("b",)], "keep"),
        make_findings("class names alike", ["猫"], ["x" * 500]),
    ]
    return an_audit(sort_findings(parts))


def test_the_summary_is_aligned_and_most_severe_first(found):
    lines = audit_lines(found)
    assert lines[0] == "my photos: 3 files, 2 accepted, 1 rejected"
    head = lines[2]
    rows = lines[3:6]
    assert [row.split()[0] for row in rows] == ["error", "warning", "warning"]
    at = head.index("problem")
    assert [row[at : at + 9].rstrip() for row in rows] == ["damaged", "duplicate", "class nam"]
    assert [int(row[:at].split()[1]) for row in rows] == [1, 2, 1]
    assert all(len(row) < 190 for row in lines)
    text = "\n".join(lines)
    assert "imgclf audit 'my photos' --fix_list fixes.csv" in text
    assert "imgclf run 08 --data 'my photos'" in text
    assert "The same picture is there more than once. Keep one of them." in text


def test_nothing_in_a_name_reaches_the_terminal(found):
    for line in audit_lines(found):
        assert line.isprintable()
    assert any(r"\x1b[31mred\n\u202egpj.猫" in line for line in audit_lines(found))
    assert printable("a\u200bb\udcff\U000e0041\t") == r"a\u200bb\udcff\U000e0041\t"
    assert printable("naïve 猫 😀") == "naïve 猫 😀"


def test_json_is_exact_and_adds_up(found):
    said = json.loads(json.dumps(audit_json(found)))
    assert (said["files"], said["accepted"], said["rejected"]) == (3, 2, 1)
    assert said["counts"] == {"error": 1, "warning": 3, "remark": 0}
    assert said["findings"][0] == {
        **{"path": WILD, "problem": "damaged", "detail": "broken"},
        **{"severity": "error", "related": []},
    }
    assert len(said["findings"]) == 4
    assert "leakage" not in said


def test_nothing_found():
    lines = audit_lines(an_audit(sort_findings([])))
    assert lines[-1] == "Nothing was found that needs a look."
    assert audit_json(an_audit(sort_findings([])))["findings"] == []


def test_leakage_is_told():
    leakage = SimpleNamespace(sentence="It leaks.", figures={"with": 0.9})
    leaking = an_audit(sort_findings([]), leakage)
    assert "It leaks." in audit_lines(leaking)
    assert audit_json(leaking)["leakage"] == {"with": 0.9}
