"""Recipes: what changed, in words, and the command that gives the same experiment again."""

import shlex

import pandas as pd
import pytest

from imgclf_lib import cli, recipes
from imgclf_lib.experiment import Experiment
from imgclf_lib.presets import PRESETS, preset
from imgclf_lib.recipes import command_line, compare_trials, describe_change
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
