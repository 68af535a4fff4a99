"""Training: what is learned, what is written, what is refused, what is resumed."""

import math
import signal
import threading
import time
import zipfile
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from imgclf_lib.backend import load_keras
from imgclf_lib.data import ImageData, load_data
from imgclf_lib.errors import InputError, TrainingError
from imgclf_lib.evaluation import evaluate
from imgclf_lib.experiment import Experiment, preset
from imgclf_lib.network import build_model
from imgclf_lib.training import (
    Run,
    compile_model,
    learning_rate_range_test,
    run_folder,
    train,
    trainer,
)
from imgclf_lib.training.loop import Recorder

keras = load_keras()
# TensorFlow on processors repeats itself to the last bit; other backends nearly so.
EXACT = keras.backend.backend() == "tensorflow"
LINEAR = {"filters": (), "dense_units": (), "dropout": 0.0}
LEARNED = ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]


def assert_same_run(first: Run, second: Run) -> None:
    """Equal histories and equal weights."""
    assert first.history["epoch"].tolist() == second.history["epoch"].tolist()
    tolerance = 0 if EXACT else 1e-3
    np.testing.assert_allclose(
        first.history[LEARNED], second.history[LEARNED], rtol=tolerance, atol=tolerance
    )
    for one, two in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)


def stop_at(epoch: int, batch: int):
    """A callback that acts like Ctrl+C in the middle of an epoch, counted from 0."""

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, number, logs=None):
            self.number = number

        def on_train_batch_end(self, number, logs=None):
            if (self.number, number) == (epoch, batch):
                raise KeyboardInterrupt

    return Stop()


def never():
    """A callback that minds being called."""

    class Never(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            raise AssertionError("it was trained again")

    return Never()


@pytest.fixture(scope="module")
def linear(images):
    return Experiment(data=str(images), epochs=1, batch_size=16, **LINEAR)


def test_loss_falls(trained):
    history = trained.history
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert history["loss"].iloc[-1] < 0.8 * history["loss"].iloc[0]
    assert history["learning_rate"].tolist() == pytest.approx([0.01] * 4)


@pytest.mark.parametrize("seed", [0, 1])
def test_classes_are_told_apart(seed, images, tmp_path):
    experiment = Experiment(
        data=str(images),
        filters=(8, 16),
        head="average",
        dense_units=(),
        dropout=0.0,
        learning_rate=0.02,
        batch_size=8,
        epochs=15,
        seed=seed,
    )
    run = train(experiment, out=tmp_path / "run", progress="none")
    test = load_data(experiment).test
    right = run.model.predict(test.images, verbose=0).argmax(1) == test.labels
    assert right.mean() > 0.8
    # Of the last epoch: the saved one is the first that was perfect on 9 validation images.
    assert run.history["accuracy"].iloc[-1] > 0.9


def test_the_run_folder(trained, tiny):
    assert sorted(path.name for path in trained.folder.iterdir() if path.name[0] != ".") == [
        *("environment.json", "experiment.json", "history.csv", "metrics.json", "model.keras")
    ]
    assert trained.completed
    assert trained.experiment == tiny
    environment, data = trained.environment, load_data(tiny)
    assert environment["class_names"] == ["blob", "columns", "rows"]
    assert environment["image_shape"] == [24, 24, 1]
    assert environment["data_fingerprint"] == data.fingerprint
    assert environment["backend"] == keras.backend.backend()
    assert environment["packages"]["keras"] == keras.__version__
    assert list(trained.history) == ["epoch", *LEARNED[:4], "learning_rate", "seconds"]


def test_metrics_are_those_of_the_saved_model(trained, tiny):
    data, metrics = load_data(tiny), trained.metrics
    assert (metrics["status"], metrics["epochs_run"]) == ("completed", 4)
    for name in ("train", "val"):
        split = getattr(data, name)
        right = trained.model.predict(split.images, verbose=0).argmax(1) == split.labels
        assert metrics[f"{name}_accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    assert metrics["val_accuracy"] == trained.history["val_accuracy"].max()
    # Convolution without bias, batch normalisation, two dense layers.
    assert metrics["parameters"] == 9 * 8 + 4 * 8 + (12 * 12 * 8 * 16 + 16) + (16 * 3 + 3)
    assert metrics["train_seconds"] == pytest.approx(trained.history["seconds"].sum())
    assert metrics["images_per_second"] > 0


def test_an_equal_experiment_is_loaded_not_trained(trained, tiny):
    stamps = {path: path.stat().st_mtime_ns for path in trained.folder.glob("*.*")}
    again = train(tiny, out=trained.folder, callbacks=[never()])
    assert again.metrics == trained.metrics
    assert {path: path.stat().st_mtime_ns for path in trained.folder.glob("*.*")} == stamps


def test_without_out_the_folder_follows_the_experiment(linear, capsys):
    first = train(linear)
    told = capsys.readouterr().out
    assert told.startswith("epoch   1/1   loss ")
    assert first.folder == run_folder(linear, load_data(linear))
    assert train(linear, callbacks=[never()]).folder == first.folder
    assert capsys.readouterr().out == ""
    same = linear.replace(backend=keras.backend.backend())
    assert run_folder(same, load_data(same)) == first.folder
    other = linear.replace(seed=1)
    assert run_folder(other, load_data(other)) != first.folder


@pytest.mark.parametrize(
    ("change", "difference"),
    [({"epochs": 9, "seed": 4}, "epochs, seed"), ({"test_fraction": 0.3}, "test_fraction")],
    ids=str,
)
def test_another_experiment_in_the_folder_is_refused(change, difference, trained, tiny):
    before = {path: path.read_bytes() for path in trained.folder.glob("*.*")}
    with pytest.raises(InputError, match=f"another experiment; the difference is in {difference}"):
        train(tiny.replace(**change), out=trained.folder)
    assert {path: path.read_bytes() for path in trained.folder.glob("*.*")} == before


def test_other_images_in_the_folder_are_refused(trained, tiny, tmp_path, make_images):
    other = make_images(tmp_path / "shapes", 24, seed=9)
    with pytest.raises(InputError, match="the difference is in the images"):
        train(tiny.replace(data=str(other)), out=trained.folder)


def test_a_folder_of_strangers_is_refused_and_untouched(linear, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match=r"not a run.*Received: \['photos', 'thesis.txt'\]"):
        train(linear, out=tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.txt", "photos"}


def test_a_folder_left_by_a_kill_at_the_start_is_used(linear, tmp_path):
    """A process may die just after the first file that it writes."""
    (tmp_path / "experiment.json").write_text(linear.replace(seed=3).to_json())
    assert train(linear, out=tmp_path, progress="none").experiment == linear


def test_two_processes_train_one_run_and_the_work_of_the_first_is_kept(linear, tmp_path, capfd):
    """The first is stopped in its second epoch; the second goes on where it was."""
    longer, folder = linear.replace(epochs=3), tmp_path / "run"
    whole = train(longer, out=tmp_path / "whole", progress="none")
    with pytest.raises(KeyboardInterrupt):
        train(longer, out=folder, progress="none", callbacks=[stop_at(1, 0)])
    held = threading.Event()

    def hold():
        with FileLock(folder / ".lock"):
            held.set()
            time.sleep(1.5)

    threading.Thread(target=hold).start()
    held.wait()
    epochs = []
    see = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))
    second = train(longer, out=folder, progress="none", callbacks=[see])
    assert epochs == [1, 2]
    assert "this one waits" in capfd.readouterr().err
    assert_same_run(whole, second)


def test_the_test_split_stays_closed(linear, tmp_path, monkeypatch):
    def opened(self):
        raise AssertionError("training opened the test split")

    monkeypatch.setattr(ImageData, "test", property(opened))
    assert train(linear, out=tmp_path / "run", progress="none").completed


def test_seeds_repeat_and_interruption_leaves_no_trace(trained, tiny, tmp_path):
    """Interrupted in epoch 3 of 4, resumed: as if nothing had happened."""
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(tiny, out=run, progress="none", callbacks=[stop_at(2, 1)])
    stopped = Run(run)
    assert (stopped.metrics["status"], stopped.metrics["epochs_run"]) == ("interrupted", 2)
    assert not stopped.completed
    assert len(stopped.model.get_weights()) == len(trained.model.get_weights())
    # A crash may come between a row of the history and its checkpoint.
    history = stopped.history
    pd.concat([history, history.tail(1).assign(epoch=3)]).to_csv(run / "history.csv", index=False)
    resumed = train(tiny, out=run, resume=True, progress="none")
    assert resumed.completed
    assert_same_run(trained, resumed)
    assert not (run / "last.keras").exists()
    assert resumed.metrics["images_per_second"] > 0


def test_the_fast_recipe_too_is_resumed_without_a_trace(tiny, tmp_path):
    """Muon, averaged weights, alternate mirroring and a model that answers twice."""
    recipe = preset("fast").replace(data=tiny.data, filters=(4, 6), batch_size=16, epochs=3)
    recipe = recipe.replace(ema=0.8, flip="alternate", test_time_flip="yes")
    whole = train(recipe, out=tmp_path / "whole", progress="none")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, out=tmp_path / "run", progress="none", callbacks=[stop_at(2, 1)])
    assert_same_run(whole, train(recipe, out=tmp_path / "run", resume=True, progress="none"))
    val = load_data(recipe).val
    answers = whole.model.predict(val.images, verbose=0)
    np.testing.assert_allclose(
        answers, whole.model.predict(val.images[:, :, ::-1], verbose=0), atol=1e-5
    )
    right = answers.argmax(1) == val.labels
    assert whole.metrics["val_accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    # Nothing in the file needs this library.
    with zipfile.ZipFile(whole.folder / "model.keras") as file:
        assert b"imgclf_lib" not in file.read("config.json")


def test_averaged_weights_are_those_that_are_measured_and_saved(linear, tmp_path):
    steps = []

    class Remember(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.append(self.model.get_layer("probabilities").get_weights()[0])

    chosen = linear.replace(ema=0.5, optimizer="sgd", learning_rate=0.1)
    run = train(chosen, out=tmp_path / "run", progress="none", callbacks=[Remember()])
    average = steps[0]
    for each in steps[1:]:
        average = 0.5 * average + 0.5 * each
    saved = run.model.get_layer("probabilities").get_weights()[0]
    np.testing.assert_allclose(saved, average, atol=1e-5)
    assert np.abs(saved - steps[-1]).max() > 1e-3
    val = load_data(chosen).val
    right = run.model.predict(val.images, verbose=0).argmax(1) == val.labels
    assert run.history["val_accuracy"].iloc[-1] == pytest.approx(right.mean(), abs=1e-6)


def test_an_interrupt_that_a_framework_swallows_is_not_lost(linear, tmp_path):
    class Swallow(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    before = signal.default_int_handler  # a test run in the background ignores Ctrl+C
    signal.signal(signal.SIGINT, before)
    with pytest.raises(KeyboardInterrupt):
        train(linear, out=tmp_path, progress="none", callbacks=[Swallow()])
    assert Run(tmp_path).metrics["status"] == "interrupted"
    assert signal.getsignal(signal.SIGINT) == before


def test_other_seeds_learn_otherwise(linear):
    losses = [train(linear.replace(seed=seed)).history["loss"].iloc[0] for seed in (0, 1)]
    assert losses[0] != losses[1]


def test_an_unfinished_run_starts_anew_without_resume(linear, tmp_path):
    two = linear.replace(epochs=2)
    with pytest.raises(KeyboardInterrupt):
        train(two, out=tmp_path, progress="none", callbacks=[stop_at(1, 0)])
    with pytest.raises(KeyboardInterrupt):
        train(two, out=tmp_path, progress="none", callbacks=[stop_at(0, 0)])
    assert Run(tmp_path).metrics["epochs_run"] == 0
    assert not (tmp_path / "model.keras").exists()
    assert train(two, out=tmp_path, resume=True, progress="none").metrics["epochs_run"] == 2


def test_resuming_counts_epochs_in_half_precision(tiny, tmp_path):
    """Its optimiser leaves out steps whose gradients overflow; epochs still count."""
    half = tiny.replace(precision="float16", epochs=2)
    with pytest.raises(KeyboardInterrupt):
        train(half, out=tmp_path, progress="none", callbacks=[stop_at(1, 0)])
    run = train(half, out=tmp_path, progress="none", resume=True)
    assert run.history["epoch"].tolist() == [1, 2]
    assert run.metrics["images_per_second"] > 0


def test_a_half_precision_run_is_resumed_without_a_trace(tiny, tmp_path):
    """Its first steps overflow and are left out; the epochs are still those of the history."""
    half = tiny.replace(precision="float16", scaling="none", batch_size=64)
    whole = train(half, out=tmp_path / "whole", progress="none")
    counts = []

    class Count(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            counts.append((epoch, int(self.model.optimizer.iterations), self.params["steps"]))

    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(half, out=run, progress="none", callbacks=[Count(), stop_at(2, 0)])
    epoch, iterations, steps = counts[-1]
    if EXACT:  # PyTorch may overflow nowhere
        assert round(iterations / steps) < epoch, "no epoch was left out: this tests nothing"
    # A crash may come between a row of the history and its checkpoint.
    history = Run(run).history
    pd.concat([history, history.tail(1).assign(epoch=3)]).to_csv(run / "history.csv", index=False)
    assert_same_run(whole, train(half, out=run, resume=True, progress="none"))


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_checkpoint_without_its_mark_is_resumed(precision, linear, tmp_path):
    """Earlier versions wrote none."""
    longer = linear.replace(epochs=3, precision=precision)
    whole = train(longer, out=tmp_path / "whole", progress="none")
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(longer, out=run, progress="none", callbacks=[stop_at(2, 0)])
    with zipfile.ZipFile(run / "last.keras", "a") as file:
        assert file.comment == b"epochs 2"
        file.comment = b""
    assert_same_run(whole, train(longer, out=run, resume=True, progress="none"))


def test_a_history_that_lost_rows_is_told(linear, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(linear.replace(epochs=3), out=tmp_path, progress="none", callbacks=[stop_at(2, 0)])
    Run(tmp_path).history.head(1).to_csv(tmp_path / "history.csv", index=False)
    with pytest.raises(InputError, match=r"history.csv.*fewer epochs.*: 1 and 2.*without --resume"):
        train(linear.replace(epochs=3), out=tmp_path, progress="none", resume=True)


def test_a_design_that_cannot_fit_is_refused_before_it_is_built(linear, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "free_memory", lambda: 8_000_000)
    monkeypatch.setattr(trainer, "build_model", never)
    too_much = {
        "dense1, 1,181,696 parameters.*fewer units": linear.replace(dense_units=(2048,)),
        "values between the layers.*smaller batch": linear.replace(filters=(64,), batch_size=65536),
    }
    for said, experiment in too_much.items():
        with pytest.raises(InputError, match=f"Too big for this machine.*only 8 MB.*{said}"):
            train(experiment, out=tmp_path, progress="none")
    assert not [path for path in tmp_path.iterdir() if path.name != ".lock"]
    monkeypatch.undo()
    train(linear.replace(batch_size=65536), out=tmp_path, progress="none")  # of 40 images


def test_memory_that_ends_is_one_message(linear, tmp_path):
    """What TensorFlow and PyTorch say is no MemoryError."""

    def end(epoch, logs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 GB")

    callback = keras.callbacks.LambdaCallback(on_epoch_begin=end)
    with pytest.raises(TrainingError, match=r"not enough memory.*batch_size \(now 16\)"):
        train(linear, out=tmp_path, progress="none", callbacks=[callback])
    assert Run(tmp_path).metrics["status"] == "interrupted"
    train(linear, out=tmp_path, progress="none", resume=True)


def test_early_stopping(linear, tmp_path):
    still = linear.replace(learning_rate=1e-7, epochs=8, early_stopping=2)
    run = train(still, out=tmp_path / "run", progress="none")
    best = int(run.history["val_accuracy"].argmax())
    assert run.metrics["status"] == "completed"
    assert run.metrics["epochs_run"] == best + 1 + 2 < 8


def test_a_loss_that_is_no_number_ends_it(linear, tmp_path):
    class Break(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.set_weights([weight * np.nan for weight in self.model.get_weights()])

    with pytest.raises(
        TrainingError, match=r"not a number in epoch 2.*learning_rate \(now 0.001\)"
    ):
        train(linear.replace(epochs=4), out=tmp_path, progress="none", callbacks=[Break()])
    run = Run(tmp_path)
    assert (run.metrics["status"], run.metrics["epochs_run"]) == ("failed", 1)
    assert not run.completed
    assert np.isfinite(run.model.get_weights()[0]).all(), "the epoch before is still there"


@pytest.mark.parametrize("broken", ["loss", "val_loss"])
def test_weights_that_are_no_numbers_are_never_saved(broken, linear, tmp_path):
    """The last step of an epoch may break the weights: then only the validation loss tells."""
    model = build_model(linear, (24, 24, 1), 3)
    compile_model(model, linear, 1)
    recorder = Recorder(Run(tmp_path), linear, model, pd.DataFrame(), "none", 1)
    logs = dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5)
    recorder.callback().on_epoch_end(0, {**logs, broken: math.nan})
    assert recorder.status == "failed"
    assert model.stop_training
    assert list(tmp_path.iterdir()) == []
    recorder.callback().on_epoch_end(0, logs)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("history.csv", "last.keras", "model.keras")
    ]


def test_progress_bar_is_on_standard_error(linear, tmp_path, capfd):
    train(linear, out=tmp_path / "run", progress="bar")
    told = capfd.readouterr()
    assert told.out == ""
    assert "epoch   1/1   loss " in told.err


@pytest.mark.parametrize(
    "change", [{"class_weights": "balanced"}, {"label_smoothing": 0.3}], ids=str
)
def test_first_loss_by_hand(change, tmp_path, make_images):
    """One step with all images: the loss of epoch 1 is that of the first weights."""
    folder = make_images(tmp_path / "uneven", {"rows": 20, "columns": 8, "blob": 6})
    experiment = Experiment(data=str(folder), epochs=1, batch_size=64, **LINEAR, **change)
    data = load_data(experiment)
    train_split, count = data.train, len(data.train)
    model = build_model(experiment, data.image_shape, 3)
    weights, bias = model.get_layer("probabilities").get_weights()
    scores = train_split.images.reshape(count, -1) / 255 @ weights + bias
    logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    targets = np.eye(3)[train_split.labels]
    weight = np.ones(count)
    if experiment.label_smoothing:
        targets = targets * 0.7 + 0.1
    else:
        weight = (count / (3 * np.bincount(train_split.labels)))[train_split.labels]
        assert len(set(weight)) == 3
    loss = (weight * -(targets * logs).sum(1)).mean()
    run = train(experiment, out=tmp_path / "run", progress="none")
    assert run.history["loss"].iloc[0] == pytest.approx(loss, rel=1e-4)


def softmax_step(smoothing: float) -> tuple:
    """A linear model, a batch, and the gradient of its loss by hand."""
    experiment = Experiment(scaling="none", label_smoothing=smoothing, **LINEAR)
    model = build_model(experiment, (4, 4, 1), 3)
    generator = np.random.default_rng(0)
    images = generator.uniform(0, 1, (8, 4, 4, 1)).astype("float32")
    labels = np.arange(8) % 3
    targets = np.eye(3, dtype="float32")[labels]
    weights, bias = model.get_layer("probabilities").get_weights()
    scores = images.reshape(8, -1) @ weights + bias
    shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    smooth = targets * (1 - smoothing) + smoothing / 3
    gradient = images.reshape(8, -1).T @ (shares - smooth) / 8
    return experiment, model, images, targets if smoothing else labels, weights, gradient


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "muon"])
def test_one_step_of_every_optimizer_by_hand(optimizer, schedule, smoothing):
    experiment, model, images, labels, weights, gradient = softmax_step(smoothing)
    rate = 0.01
    chosen = experiment.replace(optimizer=optimizer, schedule=schedule, learning_rate=rate)
    compile_model(model, chosen, 100)
    model.train_on_batch(images, labels)
    first = rate / 25 if schedule == "one_cycle" else rate
    step = {
        "sgd": 1.9 * gradient,  # Nesterov with momentum 0.9
        "adam": gradient / (np.abs(gradient) + 1e-7),
        "adamw": gradient / (np.abs(gradient) + 1e-7),
        "muon": gradient / (np.abs(gradient) + 1e-7),  # dense layers are left to Adam
        "rmsprop": gradient / np.sqrt(0.1 * gradient**2 + 1e-7),
    }[optimizer]
    found = model.get_layer("probabilities").get_weights()[0]
    np.testing.assert_allclose(weights - found, first * step, rtol=2e-2, atol=first * 2e-3)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "muon"])
def test_weight_decay_shrinks_kernels_and_nothing_else(optimizer):
    experiment, model, images, labels, weights, _ = softmax_step(0.0)
    changed = []
    for decay in (0.0, 0.5):
        model.set_weights([weights, np.full(3, 0.2)])
        chosen = experiment.replace(optimizer=optimizer, weight_decay=decay, learning_rate=0.01)
        compile_model(model, chosen, 100)
        model.train_on_batch(images, labels)
        changed.append(model.get_layer("probabilities").get_weights())
    (kernel, bias), (shrunk, same) = changed
    np.testing.assert_allclose(bias, same, atol=1e-6)
    np.testing.assert_allclose(kernel - shrunk, 0.01 * 0.5 * weights, atol=2e-4)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", {0: 1, 50: 1, 100: 1}),
        ("cosine", {0: 1, 50: 0.5, 75: (1 + math.cos(0.75 * math.pi)) / 2, 100: 0}),
        ("one_cycle", {0: 0.04, 15: 0.52, 30: 1, 65: 0.5, 100: 0}),
    ],
)
def test_schedules(schedule, rates):
    model = build_model(Experiment(**LINEAR), (4, 4, 1), 3)
    compile_model(model, Experiment(schedule=schedule, learning_rate=0.1), 100)
    for step, rate in rates.items():
        model.optimizer.iterations.assign(step)
        assert float(model.optimizer.learning_rate) == pytest.approx(0.1 * rate, abs=1e-6)


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_schedules_of_a_single_step(schedule):
    experiment, model, images, labels, *_ = softmax_step(0.0)
    compile_model(model, experiment.replace(schedule=schedule), 1)
    assert np.isfinite(model.train_on_batch(images, labels)[0])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_low_precision_trains(precision):
    experiment, _, images, labels, *_ = softmax_step(0.0)
    low = experiment.replace(
        precision=precision, filters=(4,), dense_units=(4,), learning_rate=0.05
    )
    model = build_model(low, (4, 4, 1), 3)
    compile_model(model, low, 100)
    losses = [model.train_on_batch(images, labels)[0] for _ in range(30)]
    assert float(losses[-1]) < float(losses[0])
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (
        precision == "float16"
    )


def test_range_test(linear):
    found = learning_rate_range_test(linear, 1e-5, 1e-3, steps=9)
    assert list(found) == ["learning_rate", "loss"]
    np.testing.assert_allclose(found["learning_rate"], np.geomspace(1e-5, 1e-3, 9))
    again = learning_rate_range_test(linear.replace(learning_rate=0.5), 1e-5, 1e-3, steps=9)
    np.testing.assert_allclose(found["loss"], again["loss"], rtol=1e-4)


def test_range_test_ends_where_the_loss_explodes(linear):
    wild = linear.replace(optimizer="sgd", scaling="none", schedule="cosine", label_smoothing=0.1)
    found = learning_rate_range_test(wild, 1e-6, 10.0, steps=60)
    assert len(found) < 60
    loss = found["loss"].to_numpy()
    assert not loss[-1] <= 4 * loss.min()
    assert (loss[:-1] <= 4 * np.minimum.accumulate(loss[:-1])).all()


def test_two_images_a_class_train_and_one_is_refused(tiny, tmp_path, make_images):
    """With validation and test images given, two training images of a class are enough."""
    folder = tmp_path / "few"
    for seed, (split, count) in enumerate({"train": 2, "val": 1, "test": 1}.items()):
        make_images(folder / split, count, seed=seed)
    run = train(tiny.replace(data=str(folder), epochs=1), out=tmp_path / "run", progress="none")
    assert run.completed
    with pytest.raises(InputError, match="3 classes have too few images: 'blob' has 2 images"):
        train(tiny.replace(data=str(folder / "train")), out=tmp_path / "other", progress="none")
    assert not (tmp_path / "other").exists()


def test_a_run_remembers_its_fix_list_wherever_it_is_evaluated(tiny, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    fixes = tmp_path / "here" / "fixes.csv"
    fixes.write_text("path,action\nrows/000.png,exclude\n")
    monkeypatch.chdir(tmp_path / "here")
    run = train(tiny.replace(fixes="fixes.csv", epochs=1), tmp_path / "run", progress="none")
    assert run.experiment.fixes == str(fixes)
    monkeypatch.chdir(tmp_path)
    assert evaluate(run).metrics["n"] == 11
    assert (load_data(run.experiment).table["problem"] == "excluded").sum() == 1
