"""Muon's step, against the singular value decomposition."""

import numpy as np

from imgclf_lib.backend import load_keras
from imgclf_lib.experiment import Experiment
from imgclf_lib.fitting import compile_model
from imgclf_lib.model import build_model
from imgclf_lib.runs import load_model

keras = load_keras()
DESIGN = Experiment(filters=(6,), dense_units=(), dropout=0.0, optimizer="muon", learning_rate=0.1)


def step() -> np.ndarray:
    """What one training step adds to a kernel: a matrix with a column a filter."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (16, 8, 8, 3)).astype("uint8")
    model = build_model(DESIGN, (8, 8, 3), 3)
    compile_model(model, DESIGN, 10)
    before = model.get_layer("convolution1_1").get_weights()[0]
    model.train_on_batch(images, generator.integers(0, 3, 16))
    change = model.get_layer("convolution1_1").get_weights()[0] - before
    return change.reshape(-1, 6)


def test_all_directions_of_a_step_have_about_the_same_length():
    lengths = np.linalg.svd(step(), compute_uv=False)
    # 0.1 is the learning rate, 27 the longer side; the iteration ends between 0.7 and 1.2.
    even = lengths / (0.1 * 0.2 * np.sqrt(27))
    assert even.min() > 0.6, even
    assert even.max() < 1.3, even


def test_a_checkpoint_keeps_the_optimiser(tmp_path):
    model = build_model(DESIGN, (8, 8, 3), 3)
    compile_model(model, DESIGN, 10)
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype("uint8")
    labels = np.arange(16) % 3
    model.train_on_batch(images, labels)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is type(model.optimizer)
    for each in (model, loaded):
        each.train_on_batch(images, labels)
    for one, two in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
