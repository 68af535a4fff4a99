"""Run folders: atomic writes that survive kills, and models that cannot be loaded."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.backend import load_keras
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.storage import atomic, write_json, write_table
from imgclf_lib.training import Run, load_model

keras = load_keras()

# Saves a model whose weights all equal the number of the save, as the recorder does. Loading a
# framework takes seconds, so one process loads it and each saving process is forked from it.
SAVING = """
import os, random, resource, signal, sys, time
from pathlib import Path
import numpy as np
from imgclf_lib.backend import load_keras
from imgclf_lib.storage import atomic
keras = load_keras()

def start_saving(path, limited):
    child = os.fork()
    if child:
        return child
    inputs = keras.Input((100,))
    outputs = keras.layers.Dense(2000)(keras.layers.Dense(400)(inputs))
    model = keras.Model(inputs, outputs)
    for number in range(1, 1000):
        if limited and number == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        model.set_weights([np.full_like(each, number) for each in model.get_weights()])
        try:
            with atomic(path) as beside:
                model.save(beside)
        except Exception:
            os._exit(7)
    os._exit(0)

chance = random.Random(0)
for number in range(int(sys.argv[2])):
    path = Path(sys.argv[1]) / str(number) / "model.keras"
    child = start_saving(path, limited=False)
    while not path.exists():
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.4))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
child = start_saving(Path(sys.argv[1]) / "limited" / "model.keras", limited=True)
print("exit code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
KILLS = 6


def numbers_in(path: Path) -> set[float]:
    return {float(value) for each in load_model(path).get_weights() for value in np.unique(each)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[Path, str]:
    """A folder in which processes saved and were killed, and what was said about the last one."""
    folder = tmp_path_factory.mktemp("saved")
    command = [sys.executable, "-W", "ignore", "-c", SAVING, str(folder), str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return folder, done.stdout


@pytest.mark.parametrize("number", range(KILLS))
def test_a_model_survives_a_process_killed_while_it_saves(number, saved):
    """Each process saved again and again until it was killed at a random moment."""
    folder, _ = saved
    found = numbers_in(folder / str(number) / "model.keras")
    assert len(found) == 1, "the weights of one save, not of two"
    assert min(found) >= 1


def test_a_save_that_fails_leaves_the_model_before(saved):
    folder, told = saved
    assert told == "exit code 7\n", "the second save did fail"
    assert [each.name for each in (folder / "limited").iterdir()] == ["model.keras"]
    assert numbers_in(folder / "limited" / "model.keras") == {1.0}


def test_atomic_replaces_at_the_end_only(tmp_path):
    path = tmp_path / "new" / "some.txt"
    with atomic(path) as beside:
        beside.write_text("one")
        assert not path.exists()
        assert (beside.parent, beside.suffix) == (path.parent, ".txt")
    with atomic(path) as beside:
        beside.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_atomic_writes_nothing_when_writing_fails(tmp_path):
    path = tmp_path / "some.txt"
    path.write_text("one")

    def fail() -> None:
        with atomic(path) as beside:
            beside.write_text("tw")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_json_and_tables(tmp_path):
    write_json(tmp_path / "a.json", {"größe": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"größe": [1, None]}
    table = pd.DataFrame({"path": ["a,b", 'c"d'], "n": [1, 2]})
    write_table(tmp_path / "a.csv", table)
    assert pd.read_csv(tmp_path / "a.csv").equals(table)


@pytest.fixture(scope="module")
def whole(trained) -> bytes:
    return (trained.folder / "model.keras").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_model_cut_short_is_refused(share, whole, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert f"{str(path)!r} is not a complete Keras model" in str(caught.value)


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"PK\x03\x04", b'{"class_name": "x"}'])
def test_another_file_is_refused(content, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a complete Keras model"):
        load_model(path)
    assert path.read_bytes() == content


def test_a_missing_model_is_refused(tmp_path):
    for path in (tmp_path / "model.keras", tmp_path):
        with pytest.raises(InputError, match=r"no model at .*imgclf train"):
            load_model(path)


def test_code_inside_a_model_is_not_run(tmp_path):
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda values: values * 2)(inputs))
    model.save(tmp_path / "model.keras")
    with pytest.raises(InputError, match=r"model\.keras'.*code"):
        load_model(tmp_path / "model.keras")


def test_loading_gives_the_model_that_was_saved(trained, tiny):
    loaded = load_model(trained.folder / "model.keras")
    for one, two in zip(loaded.get_weights(), trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert trained.model is trained.model
    assert trained.class_names == ("blob", "columns", "rows")


def test_an_empty_folder_is_no_run(tmp_path):
    run = Run(tmp_path)
    assert run.metrics == run.environment == {}
    assert run.history.empty
    assert not run.completed
    with pytest.raises(InputError, match=r"not a run folder: it has no experiment\.json"):
        _ = run.experiment


def test_a_run_is_completed_with_status_and_model(tmp_path):
    run = Run(tmp_path)
    numbers = dict.fromkeys(FIGURES, 1)
    write_json(tmp_path / "metrics.json", {"status": "completed", **numbers})
    assert not run.completed
    (tmp_path / "model.keras").write_bytes(b"")
    assert run.completed
    write_json(tmp_path / "metrics.json", {"status": "interrupted"})
    assert not run.completed
    write_json(tmp_path / "experiment.json", {"epochs": 3})
    assert run.experiment == Experiment(epochs=3)


FIGURES = ("epochs_run", "train_accuracy", "val_accuracy", "train_seconds")
HISTORY = "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("environment", text) for text in ("", "[]", "{}", "\x00", "[" * 10**5)),
        ("environment", '{"class_names": null, "image_shape": [24, 24, 1]}'),
        ("environment", '{"class_names": ["a", 1], "image_shape": [24, 24, 1]}'),
        ("environment", '{"class_names": ["a"], "image_shape": "abc"}'),
        ("environment", '{"class_names": ["a"], "image_shape": [24, 24, 1e999]}'),
        *(("metrics", text) for text in ("", "{", "[]", '{"status": 1}', "9" * 5000)),
        *(("metrics", text) for text in ('{"status": "completed"}', '{"status": []}')),
        *(("experiment", text) for text in ("", "{", "\udcff", '{"seed": ' + "9" * 5000 + "}")),
        *(("history", text) for text in ("", "\x00", "\udcff", "a,b\n1,2\n")),
        ("history", HISTORY + "1,x,1,1,1,1,1\n"),
        ("history", HISTORY + "1,1,1,1,1,1," + "9" * 400 + "\n"),
        ("metrics", json.dumps(dict.fromkeys(FIGURES, 10**400) | {"status": "completed"})),
        ("history", HISTORY.replace("seconds", "minutes") + "1,1,1,1,1,1,1\n"),
    ],
    ids=lambda each: each[:50].encode("unicode_escape").decode(),
)
def test_a_damaged_file_of_a_run_is_named(name, content, tmp_path):
    path = tmp_path / f"{name}.{'csv' if name == 'history' else 'json'}"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=r"is damaged, or was changed by hand.*Restore") as caught:
        getattr(Run(tmp_path), name)
    assert repr(str(path)) in str(caught.value)


def test_a_model_and_classes_that_do_not_belong_together_are_told(trained, tmp_path):
    copy = Run(shutil.copytree(trained.folder, tmp_path / "run"))
    for change in ({"class_names": ["blob"]}, {"image_shape": [24, 24, 3]}):
        write_json(copy.folder / "environment.json", {**trained.environment, **change})
        with pytest.raises(InputError, match="do not belong together"):
            _ = copy.model
    (copy.folder / "environment.json").unlink()
    with pytest.raises(InputError, match=r"environment\.json' is missing"):
        _ = copy.class_names


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_a_model_that_unfolds_to_gigabytes_is_refused_unread(member, tmp_path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(member, b" " * 150_000_000)
    with pytest.raises(InputError, match=r"was not opened: it would unfold to 0\.[12] GB"):
        load_model(tmp_path / "model.keras")
