"""Recipes: what changed, in words, and commands that give the same experiment again."""

import shlex
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from imgclf_lib import cli, recipes, suite
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.presets import PRESETS, preset
from imgclf_lib.recipes import command_line, compare_trials, describe_change, notebook_parameters
from imgclf_lib.trials import Trial

CHANGES = [
    {},
    {"filters": (), "dense_units": ()},
    {"filters": (7,), "dense_units": (5, 6), "epochs": 9},
    {"learning_rate": 1e-5, "flip": "both", "shift": 0.15, "optimizer": "sgd", "limit": 0},
    {"batch_size": 128, "dropout": 0.0, "limit": 2000, "backend": "tensorflow"},
]


def parsed(line: str, monkeypatch) -> Experiment:
    """The experiment that the command line would train."""
    found = []

    class Stop(Exception):
        pass

    def instead(experiment, *rest, **options):
        found.append(experiment)
        raise Stop

    monkeypatch.setattr("imgclf_lib.train.train", instead)
    words = shlex.split(line)
    assert words[:2] == ["imgclf", "train"]
    with pytest.raises(Stop):
        cli.main(words[1:])
    return found[0]


@pytest.mark.parametrize("changes", [*CHANGES, *PRESETS.values()])
def test_the_command_line_gives_the_equal_experiment(changes, monkeypatch):
    experiment = Experiment(**changes)
    assert parsed(command_line(experiment), monkeypatch) == experiment


@pytest.mark.parametrize("name", ["my photos", "it's; rm -rf $HOME", "<b>", "--epochs", "ü & 漢"])
def test_any_path_survives(name, tmp_path, monkeypatch):
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    for data in (str(folder), f"./{name}"):
        line = command_line(Experiment(data=data, filters=()))
        assert "\n" not in line
        assert parsed(line, monkeypatch) == Experiment(data=str(folder.resolve()), filters=())


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


def test_changes_in_words():
    base = Experiment()
    assert describe_change(base, base) == ""
    changed = base.replace(learning_rate=0.01, filters=(), dense_units=(4, 5), flip="both")
    assert describe_change(base, changed) == (
        "flip none → both, filters 32 + 64 → none, dense units 128 → 4 + 5,"
        " learning rate 0.001 → 0.01"
    )


def test_trials_are_compared_with_the_one_before():
    trials = [Trial(Experiment()), Trial(Experiment(epochs=2)), Trial(preset("simple"))]
    results = ((0.5, "stopped"), (0.75, "completed"), (None, "failed"))
    for trial, (best, status) in zip(trials, results, strict=True):
        trial.status = status
        if best:
            trial.history = pd.DataFrame({"epoch": [1, 2], "val_accuracy": [best, best / 2]})
    trials[1].loaded = True
    table = compare_trials(trials)
    assert table["trial"].tolist() == [1, 2, 3]
    assert table["change"].tolist() == ["the first", "epochs 5 → 2", "epochs 2 → 5"]
    assert table["epochs"].tolist() == ["2 of 5", "2 of 2", "0 of 5"]
    assert table["best val. accuracy"].tolist()[:2] == [0.5, 0.75]
    assert table["difference"].isna().tolist() == [True, False, True]
    assert table["difference"][1] == 0.25
    assert table["status"].tolist() == ["stopped", "loaded", "failed"]
    assert recipes.compare_trials([]).empty
