"""The headline that people and the report read."""

import json

import IPython.display
import numpy as np
import pandas as pd
import pytest

from imgclf_lib.errors import InputError
from imgclf_lib.figures import new_axes, png
from imgclf_lib.headline import MIME_TYPE, PARTS, REPORT_TYPE, for_report, headline

HOSTILE = "<script>alert('猫')</script> & $x$ " + "n" * 200


@pytest.fixture
def shown(monkeypatch):
    """What was displayed: a list of bundles, each with its metadata."""
    kept = []
    monkeypatch.setattr(IPython.display, "display", lambda *what, **how: kept.append((what, how)))
    return kept


def test_a_headline_is_text_and_figures(shown):
    headline("91 % of the images are right.", accuracy=np.float32(0.5), images=3)
    [((bundle,), how)] = shown
    assert how == {"raw": True}
    assert bundle["text/plain"] == "91 % of the images are right."
    assert bundle[MIME_TYPE] == {
        "sentence": "91 % of the images are right.",
        "figures": {"accuracy": 0.5, "images": 3.0},
    }
    json.dumps(bundle)
    headline("Above all.", in_short=True)
    assert shown[1][0][0][MIME_TYPE] == {"sentence": "Above all.", "figures": {}, "part": "short"}


def test_sentences_for_the_report(shown):
    for_report("next", ["One & <two>.", "Three."], "Do")
    for_report("next", [])
    for_report("short", "Alone.")
    [((bundle,), _), ((alone,), _)] = shown
    assert bundle["text/html"] == "<ul><li>One &amp; &lt;two&gt;.</li><li>Three.</li></ul>"
    assert bundle["text/plain"] == "One & <two>.\nThree."
    assert bundle[REPORT_TYPE] == {"part": "next", "title": "Do"}
    assert alone["text/html"] == "<ul><li>Alone.</li></ul>"
    json.dumps(bundle)


def test_a_table_for_the_report_keeps_whole_names_as_text(shown):
    for_report("data", pd.DataFrame({"images": [3]}, index=[HOSTILE]), "Classes")
    [((bundle,), _)] = shown
    assert "<script>" not in bundle["text/html"]
    assert "n" * 200 in bundle["text/html"], "names are not cut in tables"
    assert "&amp; $x$" in bundle["text/html"]


def test_a_long_table_is_short_in_the_notebook_and_whole_in_the_report(shown):
    for_report("data", pd.DataFrame({"images": range(1000, 1200)}))
    [((bundle,), _)] = shown
    assert bundle["text/html"].count("<tr") < 70
    assert bundle[REPORT_TYPE]["table"].count("<td>") == 200


def test_a_drawing_for_the_report(shown):
    axes = new_axes()
    for_report("result", axes, "Curve", alt="A curve that rises.")
    [((bundle,), how)] = shown
    assert bundle["image/png"] == png(axes)
    assert bundle["text/plain"] == "A curve that rises."
    assert how["metadata"] == {"image/png": {"alt": "A curve that rises."}}


def test_only_known_parts():
    with pytest.raises(InputError, match=", ".join(PARTS)):
        for_report("appendix", "Nothing.")
