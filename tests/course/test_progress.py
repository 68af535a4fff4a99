"""Several trainings, and the line that says how far they are."""

import pytest
from IPython.display import DisplayHandle

from imgclf_lib.course import train_all
from imgclf_lib.errors import InputError


@pytest.fixture
def told(monkeypatch) -> list[tuple[str, str]]:
    """What is shown, and whether it is new or takes the place of what was there."""
    lines = []
    for way in ("display", "update"):

        def show(self, bundle, raw, way=way):
            lines.append((way, bundle["text/plain"]))

        monkeypatch.setattr(DisplayHandle, way, show)
    return lines


def test_one_line_says_how_far_it_is(tiny, told):
    short = tiny.replace(epochs=1)
    runs = train_all({"one": short, "other": short.replace(seed=1)})
    assert [run.experiment.seed for run in runs.values()] == [0, 1]
    assert list(runs) == ["one", "other"]
    assert told == [
        ("display", "Run 1 of 2: one …"),
        ("update", "Run 2 of 2: other …"),
        ("update", "Runs ready: 2 of 2."),
    ]


def test_the_line_names_the_run_that_failed(tiny, told, tmp_path):
    with pytest.raises(InputError):
        train_all({"nowhere": tiny.replace(data=str(tmp_path / "none"))})
    assert told == [("display", "Run 1 of 1: nowhere …")]
