"""Transfer learning: features computed once and safe when killed; two phases, one run folder."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.backend import load_keras
from imgclf_lib.data import ImageData, load_data
from imgclf_lib.errors import InputError, TrainingError
from imgclf_lib.evaluation import evaluate, predict_files
from imgclf_lib.experiment import Experiment, preset
from imgclf_lib.network import build_model
from imgclf_lib.storage import cache_folder
from imgclf_lib.training import Run, cached_features, run_folder, train
from imgclf_lib.training import transfer as module
from imgclf_lib.training.loop import Recorder

keras = load_keras()
EXACT = keras.backend.backend() == "tensorflow"


@pytest.fixture(scope="module")
def two_phases(images):
    return Experiment(
        data=str(images),
        backbone="efficientnet_lite0",
        validation_fraction=0.2,
        dense_units=(8,),
        dropout=0.2,
        flip="both",
        learning_rate=0.005,
        batch_size=16,
        epochs=3,
        fine_tune_epochs=2,
        fine_tune_learning_rate=1e-4,
    )


@pytest.fixture(scope="module")
def finished(two_phases, tmp_path_factory):
    return train(two_phases, out=tmp_path_factory.mktemp("transfer") / "run", progress="none")


def stop_at(epoch: int):
    """A callback that acts like Ctrl+C at the end of the first step of an epoch, from 0."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, number, logs=None):
            self.number = number

        def on_train_batch_end(self, number, logs=None):
            if self.number == epoch:
                raise KeyboardInterrupt

    return Stop()


def files(run: Run) -> list[str]:
    return sorted(path.name for path in run.folder.glob("[!.]*"))


def test_the_run_folder_is_like_any_other(finished, two_phases):
    assert files(finished) == [
        *("environment.json", "experiment.json", "history.csv", "metrics.json", "model.keras")
    ]
    history = finished.history
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert history["phase"].tolist() == ["head"] * 3 + ["fine_tune"] * 2
    assert history["learning_rate"].tolist() == pytest.approx([0.005] * 3 + [1e-4] * 2)
    assert finished.experiment == two_phases
    assert finished.metrics["epochs_run"] == 5
    assert finished.metrics["parameters"] == finished.model.count_params() > 3_000_000
    assert finished.environment["backbone_weights"] == "imagenet"
    assert finished.model.input_shape == (None, 24, 24, 1)


def test_metrics_are_those_of_the_saved_model(finished, two_phases):
    data = load_data(two_phases)
    for name in ("train", "val"):
        split = getattr(data, name)
        right = finished.model.predict(split.images, verbose=0).argmax(1) == split.labels
        assert finished.metrics[f"{name}_accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    assert finished.metrics["val_accuracy"] == finished.history["val_accuracy"].max()


def test_features_tell_shapes_apart_and_the_rest_of_the_library_works(finished, images, tmp_path):
    copied = Run(shutil.copytree(finished.folder, tmp_path / "copy"))
    metrics = evaluate(copied, split="val").metrics
    assert metrics["accuracy"] > 0.8
    table = predict_files(copied, [images / "rows" / "000.png"]).table
    assert table["probability"].sum() == pytest.approx(1, abs=1e-4)


def test_an_equal_experiment_is_loaded_not_trained(finished, two_phases):
    before = {path: path.stat().st_mtime_ns for path in finished.folder.glob("*.*")}
    assert train(two_phases, out=finished.folder).metrics == finished.metrics
    assert {path: path.stat().st_mtime_ns for path in finished.folder.glob("*.*")} == before


def test_interruption_leaves_no_trace(finished, two_phases, tmp_path):
    """Stopped while the head learns, killed between the phases, stopped again, and resumed."""
    place, options = tmp_path / "run", {"resume": True, "progress": "none"}
    for epoch in (1, 3, 4):
        with pytest.raises(KeyboardInterrupt):
            train(two_phases, out=place, callbacks=[stop_at(epoch)], **options)
        stopped = Run(place)
        assert (stopped.metrics["status"], stopped.metrics["epochs_run"]) == ("interrupted", epoch)
        assert stopped.metrics["parameters"] == finished.metrics["parameters"]
        if epoch == 3:  # the head is done, and what comes of it is not yet written
            (place / "model.keras").unlink()
            (place / "metrics.json").unlink()
    assert stopped.model.input_shape == (None, 24, 24, 1)
    # A crash may come between a row of the history and its checkpoint.
    rows = stopped.history
    pd.concat([rows, rows.tail(1).assign(epoch=5)]).to_csv(place / "history.csv", index=False)
    resumed = train(two_phases, out=place, **options)
    assert files(resumed) == files(finished)
    columns = ["loss", "val_loss", "accuracy", "val_accuracy", "learning_rate"]
    tolerance = 1e-5 if EXACT else 1e-2
    np.testing.assert_allclose(
        resumed.history[columns], finished.history[columns], atol=tolerance, rtol=tolerance
    )
    assert resumed.history["phase"].tolist() == finished.history["phase"].tolist()
    assert resumed.metrics["val_accuracy"] == pytest.approx(
        finished.metrics["val_accuracy"], abs=0 if EXACT else 0.1
    )


def test_the_best_epoch_of_both_phases_is_kept(two_phases, tmp_path):
    """Fine-tuning with a rate that ruins everything leaves the head's model."""
    ruin = two_phases.replace(fine_tune_learning_rate=3.0, fine_tune_epochs=1)
    run = train(ruin, out=tmp_path / "run", progress="none")
    head = run.history[run.history["phase"] == "head"]["val_accuracy"].max()
    assert run.history["val_accuracy"].iloc[-1] < head
    val = load_data(ruin).val
    right = run.model.predict(val.images, verbose=0).argmax(1) == val.labels
    assert right.mean() == pytest.approx(head, abs=1e-6) == run.metrics["val_accuracy"]


def test_patience_begins_anew_with_fine_tuning(two_phases, tmp_path):
    patient = two_phases.replace(early_stopping=1, epochs=9, fine_tune_epochs=9)
    rows = {"epoch": [1, 2, 3], "val_accuracy": [0.9, 0.8, 0.8], "phase": ["head"] * 3}
    history = pd.DataFrame(rows)
    head = Recorder(Run(tmp_path), patient, None, history, "none", 1, "head")
    assert head.out_of_patience()
    tuning = Recorder(Run(tmp_path), patient, None, history, "none", 1, "fine_tune", 12)
    assert not tuning.out_of_patience()
    tuning.history = pd.concat([history, history.tail(1).assign(phase="fine_tune")])
    assert tuning.out_of_patience()


def test_a_loss_that_is_no_number_names_the_right_field(two_phases, tmp_path):
    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                self.model.set_weights([weight * np.nan for weight in self.model.get_weights()])

    with pytest.raises(TrainingError, match=r"epoch 4. Lower fine_tune_learning_rate"):
        train(two_phases, out=tmp_path / "run", progress="none", callbacks=[Break()])
    assert Run(tmp_path / "run").metrics["status"] == "failed"


def test_augmentation_without_fine_tuning_is_said_to_do_nothing(two_phases, tmp_path, capsys):
    train(two_phases.replace(fine_tune_epochs=0), out=tmp_path / "run")
    told = capsys.readouterr()
    assert "Frozen features see no augmentation: flip" in told.err
    assert told.out.count("epoch") == 3
    assert "fine-tuning" not in told.out


def test_another_file_of_weights_is_another_run(finished, two_phases, tmp_path):
    finished.model.get_layer("backbone").save_weights(tmp_path / "w.weights.h5")
    chosen = two_phases.replace(
        backbone_weights=str(tmp_path / "w.weights.h5"), fine_tune_epochs=0, epochs=1
    )
    data = load_data(chosen)
    run = train(chosen, out=tmp_path / "run", progress="none")
    first = run_folder(chosen, data)
    shutil.copy(tmp_path / "w.weights.h5", tmp_path / "same.weights.h5")
    same = chosen.replace(backbone_weights=str(tmp_path / "same.weights.h5"))
    assert run_folder(same, data) == first
    with (tmp_path / "w.weights.h5").open("ab") as file:
        file.write(b"more")
    assert run_folder(chosen, data) != first
    with pytest.raises(InputError, match="other weights of its backbone"):
        train(chosen, out=run.folder)


def test_what_cannot_work_is_refused_before_anything_is_written(two_phases, tmp_path):
    for change, message in (
        ({"backbone": "mobilnet"}, "no such backbone"),
        ({"backbone_weights": str(tmp_path / "none.h5")}, "no file of weights"),
    ):
        with pytest.raises(InputError, match=message):
            train(two_phases.replace(**change), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_preset_and_balanced_classes(images, tmp_path):
    chosen = preset("transfer").replace(data=str(images), epochs=1, class_weights="balanced")
    assert train(chosen, out=tmp_path / "run", progress="none").completed


@pytest.fixture
def shapes(images, tmp_path, monkeypatch):
    """An experiment whose features are kept in an empty cache, and written in small pieces."""
    monkeypatch.setenv("IMGCLF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "LARGEST_BATCH", 4)
    monkeypatch.setattr(module, "SAVE_EVERY", 2)
    return Experiment(data=str(images), backbone="efficientnet_lite0", validation_fraction=0.2)


@pytest.fixture(scope="module")
def network():
    return build_model(Experiment(backbone="efficientnet_lite0"), (24, 24, 1), 3)


@pytest.fixture
def counted(monkeypatch):
    """How many images the backbone has been asked about."""
    asked = []
    extract = module._extract

    def count(extractor, images, batch):
        asked.append(len(images))
        return extract(extractor, images, batch)

    monkeypatch.setattr(module, "_extract", count)
    return asked


def folder():
    [found] = cache_folder().glob("features-*/")
    return found


def test_they_are_what_the_network_says(network, shapes):
    data = load_data(shapes)
    extractor = keras.Model(network.input, network.get_layer("average").output)
    found = cached_features(network, shapes, data)
    for name in ("train", "val"):
        split = getattr(data, name)
        wanted = extractor.predict(split.images, verbose=0)
        np.testing.assert_allclose(found[name].images, wanted, atol=1e-4, rtol=1e-3)
        np.testing.assert_array_equal(found[name].labels, split.labels)
        np.testing.assert_array_equal(found[name].paths, split.paths)
        assert isinstance(found[name].images, np.memmap)
        assert found[name].images.dtype == "float32"


def test_they_are_computed_once_and_the_test_split_stays_closed(
    network, shapes, counted, monkeypatch
):
    def opened(self):
        raise AssertionError("the test split was opened")

    monkeypatch.setattr(ImageData, "test", property(opened))
    data = load_data(shapes)
    first = cached_features(network, shapes, data)
    assert sum(counted) == len(data.train) + len(data.val)
    counted.clear()
    again = cached_features(network, shapes, data)
    assert counted == []
    np.testing.assert_array_equal(first["train"].images, again["train"].images)
    assert not list(folder().glob("test*"))


def test_a_limit_computes_only_what_is_new(network, shapes, counted):
    whole = load_data(shapes)
    for limit, new in ((10, 10), (20, 10), (10, 0), (0, len(whole.train) - 20)):
        counted.clear()
        data = load_data(shapes.replace(limit=limit))
        found = cached_features(network, shapes, data, ("train",))["train"]
        assert sum(counted) == new
        assert len(found) == len(data.train)
        np.testing.assert_array_equal(found.paths, data.train.paths)
    order = {path: place for place, path in enumerate(whole.train.paths)}
    few = load_data(shapes.replace(limit=10))
    rows = [order[path] for path in few.train.paths]
    some = cached_features(network, shapes, few, ("train",))["train"]
    np.testing.assert_array_equal(some.images, found.images[rows])


@pytest.mark.parametrize("change", ["weights", "precision", "images"])
def test_anything_that_counts_makes_new_features(
    change, network, shapes, counted, tmp_path, make_images
):
    cached_features(network, shapes, load_data(shapes), ("val",))
    counted.clear()
    model, experiment = network, shapes
    if change == "weights":
        experiment = shapes.replace(backbone_weights="random")
        model = build_model(experiment, (24, 24, 1), 3)
    elif change == "precision":
        experiment = shapes.replace(precision="bfloat16")
        model = build_model(experiment, (24, 24, 1), 3)
    else:
        experiment = shapes.replace(data=str(make_images(tmp_path / "shapes", 24, seed=5)))
    cached_features(model, experiment, load_data(experiment), ("val",))
    assert counted


def test_an_interruption_keeps_what_is_done(network, shapes, counted, monkeypatch):
    data = load_data(shapes)
    wanted = np.array(cached_features(network, shapes, data, ("train",))["train"].images)
    for file in folder().glob("train*"):
        file.unlink()
    counted.clear()
    count = module._extract

    def stop(extractor, images, batch):
        if sum(counted) >= 20:
            raise KeyboardInterrupt
        return count(extractor, images, batch)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_extract", stop)
        with pytest.raises(KeyboardInterrupt):
            cached_features(network, shapes, data, ("train",))
    counted.clear()
    found = cached_features(network, shapes, data, ("train",))["train"]
    assert sum(counted) == len(data.train) - 16, "two pieces of eight images were kept"
    np.testing.assert_array_equal(found.images, wanted)


KILLED = """
import os, signal, sys
from imgclf_lib.training import transfer
from imgclf_lib.data import load_data
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import build_model
transfer.LARGEST_BATCH, transfer.SAVE_EVERY = 4, 2
write, asked = transfer._write, []
def dies(path, places, rows):
    asked.append(1)
    if len(asked) == 3:
        write(path, places[:3], rows[:3] + 1000)  # in the middle of writing a piece
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, places, rows)
transfer._write = dies
shapes = Experiment(data=sys.argv[1], backbone="efficientnet_lite0", validation_fraction=0.2)
transfer.cached_features(build_model(shapes, (24, 24, 1), 3), shapes, load_data(shapes))
"""


def test_a_killed_process_spoils_nothing(network, shapes, counted):
    """Half a piece of nonsense is on disk, not marked: it is computed again."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), shapes.data],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    data = load_data(shapes)
    found = cached_features(network, shapes, data, ("train",))["train"]
    assert sum(counted) == len(data.train) - 16
    extractor = keras.Model(network.input, network.get_layer("average").output)
    wanted = extractor.predict(data.train.images, verbose=0)
    np.testing.assert_allclose(found.images, wanted, atol=1e-3, rtol=1e-3)


def zero_a_row(path):
    with path.open("r+b") as file:
        file.seek(-4 * 1280, os.SEEK_END)
        file.write(bytes(4 * 1280))


@pytest.mark.parametrize(
    ("name", "damage", "anew"),
    [
        ("train.npy", zero_a_row, 1),
        ("train.npy", lambda path: os.truncate(path, 5000), 0),
        ("train.npy", lambda path: path.write_bytes(b""), 0),
        ("train-done.npy", lambda path: os.truncate(path, 130), 0),
        ("train-done.npy", lambda path: np.save(path, np.ones(3, bool)), 0),
    ],
)
def test_damaged_features_repair_themselves_and_say_so(
    name, damage, anew, network, shapes, counted, capfd
):
    data = load_data(shapes)
    wanted = np.array(cached_features(network, shapes, data, ("train",))["train"].images)
    counted.clear()
    capfd.readouterr()
    damage(folder() / name)
    found = cached_features(network, shapes, data, ("train",))["train"]
    np.testing.assert_allclose(found.images, wanted, atol=1e-4, rtol=1e-3)
    assert sum(counted) == (anew or len(data.train))
    assert capfd.readouterr().err.count("is damaged: its features are computed again") == 1


def test_features_of_an_earlier_version_are_used(network, shapes, counted):
    """It marked what was computed, without checksums."""
    cached_features(network, shapes, load_data(shapes.replace(limit=10)), ("train",))
    marks = folder() / "train-done.npy"
    np.save(marks, np.load(marks) > 0)
    counted.clear()
    data = load_data(shapes)
    cached_features(network, shapes, data, ("train",))
    assert sum(counted) == len(data.train) - 10
    assert np.load(marks).all()


def test_features_that_are_no_numbers_are_refused(shapes):
    model = build_model(shapes, (24, 24, 1), 3)
    network = model.get_layer("backbone")
    network.set_weights([weight * np.nan for weight in network.get_weights()])
    with pytest.raises(InputError, match="not a number"):
        cached_features(model, shapes, load_data(shapes), ("val",))


def test_the_bar_is_for_those_who_want_it(network, shapes, capfd, monkeypatch):
    monkeypatch.setattr("imgclf_lib.training.transfer.progress_bar", impatient)
    cached_features(network, shapes, load_data(shapes), ("val",), progress="none")
    assert capfd.readouterr().err == ""
    (folder() / "val-done.npy").unlink()
    cached_features(network, shapes, load_data(shapes), ("val",), progress="bar")
    assert "Features of val" in capfd.readouterr().err


def impatient(items, description, total=None, unit="step"):
    from tqdm import tqdm

    return tqdm(items, description, total, unit=unit)
