"""The command that runs a notebook with the values of an experiment."""

import shlex
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from imgclf_lib import cli, suite
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.recipes import notebook_parameters

CHANGES = [
    {},
    {"filters": (), "dense_units": ()},
    {"filters": (7,), "dense_units": (5, 6), "epochs": 9},
    {"learning_rate": 1e-5, "flip": "both", "shift": 0.15, "optimizer": "sgd", "limit": 0},
    {"batch_size": 128, "dropout": 0.0, "limit": 2000, "backend": "tensorflow"},
]


PARAMETERS = """
data = "fashion_mnist"  # data
limit = 10_000
epochs = 5
batch_size = 64
learning_rate = 0.001
optimizer = "adam"
filters = [32, 64]
dense_units = [128]
dropout = 0.3
flip = "none"
shift = 0.0
seed = 0
backend = "auto"
other = 3  # no field
"""


@pytest.fixture
def course(tmp_path, monkeypatch) -> Path:
    """A course of one notebook, which declares what a live widget offers."""
    cell = nbformat.v4.new_code_cell(PARAMETERS.strip(), metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "language": "python",
        "display_name": "Python 3",
    }
    path = tmp_path / "notebooks" / "04_train.ipynb"
    path.parent.mkdir()
    nbformat.write(notebook, path)
    monkeypatch.setenv("IMGCLF_HOME", str(tmp_path))
    return path


def given(line: str, monkeypatch) -> dict:
    """The parameters with which the line would run the notebook."""
    found = []

    def instead(notebooks, out, data, profile, parameters, cell_timeout):
        found.extend(suite.plan(notebooks, data, profile, parameters))
        return pd.DataFrame()

    monkeypatch.setattr(suite, "run_notebooks", instead)
    words = shlex.split(line)
    assert words[0] == "imgclf"
    assert cli.main(words[1:]) == 0
    return found[0].parameters


@pytest.mark.parametrize("changes", CHANGES)
def test_the_parameters_give_the_equal_experiment(changes, course, monkeypatch):
    scope: dict = {}
    exec(PARAMETERS, scope)  # our own text above
    names = [name for name in scope if name in Experiment.__dataclass_fields__]
    experiment = Experiment(**changes)
    scope |= given(notebook_parameters(experiment, "04_train"), monkeypatch)
    assert Experiment(**{name: scope[name] for name in names}) == experiment


def test_the_notebooks_own_values_are_left_out(course):
    own = Experiment(limit=10_000, batch_size=64)
    assert notebook_parameters(own, "04_train") == "imgclf run 04_train"
    one = notebook_parameters(own.replace(batch_size=128), "04_train")
    assert one == "imgclf run 04_train -p batch_size 128"


def test_a_folder_with_spaces_reaches_the_notebook(course, images, tmp_path, monkeypatch):
    folder = tmp_path / "my photos"
    folder.symlink_to(images)
    line = notebook_parameters(Experiment(data=str(folder)), "04_train")
    assert Path(given(line, monkeypatch)["data"]) == images.resolve()


def test_what_a_notebook_cannot_be_given_is_named(course):
    with pytest.raises(InputError, match="04_train has no parameter rotate, zoom"):
        notebook_parameters(Experiment(rotate=5.0, zoom=0.1), "04_train")
