"""The plan of a network against the network itself."""

import math

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.experiment import Experiment
from imgclf_lib.model import build_model, layer_table
from imgclf_lib.network_plan import fit_to_memory, gigabytes, plan_network, training_memory
from imgclf_lib.network_plots import network
from imgclf_lib.presets import PRESETS, preset


def random_design(seed: int) -> tuple[Experiment, tuple[int, int, int], int]:
    generator = np.random.default_rng(seed)

    def pick(*choices):
        return choices[generator.integers(len(choices))]

    experiment = Experiment(
        filters=tuple(generator.integers(1, 13, generator.integers(0, 5)).tolist()),
        convolutions=pick(1, 2, 3),
        kernel_size=pick(1, 2, 3, 5),
        pooling=pick("max", "average", "stride"),
        normalization=pick("none", "batch", "layer", "group"),
        head=pick("flatten", "average", "max"),
        stem=pick("none", "whitened"),
        pooling_place=pick("last", "first"),
        dense_units=tuple(generator.integers(1, 20, generator.integers(0, 4)).tolist()),
        dropout=pick(0.0, 0.3),
        activation=pick("relu", "gelu"),
        scaling=pick("unit", "standardize"),
    )
    return experiment, (pick(8, 15, 28), pick(8, 13, 28), pick(1, 3)), pick(2, 10, 200)


def same(planned: pd.DataFrame, built: pd.DataFrame) -> None:
    built = built[~built["kind"].str.startswith("Random")].reset_index(drop=True)
    pd.testing.assert_frame_equal(planned, built, check_dtype=False)


@pytest.mark.parametrize("seed", range(25))
def test_the_plan_is_what_is_built(seed):
    experiment, shape, classes = random_design(seed)
    same(
        plan_network(experiment, shape, classes),
        layer_table(build_model(experiment, shape, classes)),
    )


@pytest.mark.parametrize("name", [name for name in PRESETS if not preset(name).backbone])
def test_presets_are_planned_right(name):
    experiment = preset(name)
    built = layer_table(build_model(experiment, (28, 28, 3), 10))
    same(plan_network(experiment, (28, 28, 3), 10), built)


def test_small_maps_are_not_halved_in_the_plan_either():
    experiment = Experiment(filters=(2,) * 6)
    same(plan_network(experiment, (8, 8, 1), 2), layer_table(build_model(experiment, (8, 8, 1), 2)))


def test_memory_by_hand():
    experiment = Experiment(
        filters=(2,), dense_units=(), dropout=0.0, normalization="batch", batch_size=10
    )
    plan = plan_network(experiment, (4, 4, 1), 3)
    learnt = 9 * 2 + 2 * 2 + (2 * 2 * 2 + 1) * 3
    memory = training_memory(plan, experiment)
    assert memory.weights == 4 * (learnt + 2 * 2)
    assert memory.gradients == 4 * learnt
    assert memory.moments == 2 * 4 * learnt
    # pixels, scaling; convolution, normalisation, activation; pooling; probabilities
    assert memory.activations == 4 * 10 * (2 * 16 + 3 * 32 + 8 + 3)
    assert memory.total == sum(memory)
    half = training_memory(plan, experiment.replace(precision="bfloat16", optimizer="sgd"))
    assert half.activations == memory.activations / 2
    assert half.moments == memory.moments / 2


def test_optimisers_keep_as_much_as_they_say():
    """Keras counts the optimiser's own numbers; two more are its steps and its rate."""
    from imgclf_lib.fitting import compile_model

    for optimizer in ("adam", "adamw", "sgd", "rmsprop"):
        experiment = Experiment(filters=(3,), dense_units=(4,), optimizer=optimizer)
        model = build_model(experiment, (8, 8, 1), 2)
        compile_model(model, experiment, 1)
        model.optimizer.build(model.trainable_variables)
        kept = sum(math.prod(each.shape) for each in model.optimizer.variables) - 2
        plan = plan_network(experiment, (8, 8, 1), 2)
        assert training_memory(plan, experiment).moments == 4 * kept


def test_a_gigantic_design_is_planned_at_once():
    experiment = Experiment(filters=(4096,) * 2, dense_units=(16_384,) * 4, batch_size=65_536)
    plan = plan_network(experiment, (1024, 1024, 3), 200)
    assert training_memory(plan, experiment).total > 10**12
    assert (plan[["parameters", "multiply_adds"]] >= 0).all(axis=None), "no number overflows"


@pytest.mark.parametrize(
    ("free", "kind", "words"),
    [(1e9, "too big", "only 1.0 GB"), (4e9, "tight", "twice as much"), (9e9, "fits", "9.0 GB")],
)
def test_free_memory_decides(free, kind, words):
    experiment = Experiment(dense_units=(65_536 // 4, 8192), batch_size=8)
    plan = plan_network(experiment, (28, 28, 1), 10)
    found, said = fit_to_memory(plan, experiment, int(free))
    assert found == kind
    assert words in said
    assert ("fewer units help" in said) == (kind != "fits")


def test_what_to_make_smaller():
    for change, words in [
        ({"dense_units": (16_384,)}, "the head “average” help"),
        ({"filters": (4096, 4096), "head": "average"}, "fewer filters or a smaller kernel"),
        ({"batch_size": 65_536}, "smaller batch size"),
    ]:
        experiment = Experiment(batch_size=1).replace(**change)
        said = fit_to_memory(plan_network(experiment, (28, 28, 1), 10), experiment, 10**6)[1]
        assert words in said


def test_bytes_in_words():
    assert [gigabytes(count) for count in (10, 2_340_000, 999_000_000, 4_321_000_000)] == [
        *("0.1 MB", "2.34 MB", "999 MB", "4.3 GB"),
    ]


@pytest.mark.parametrize(
    ("head", "word"), [("flatten", None), ("average", "average"), ("max", "maximum")]
)
def test_the_picture_names_the_head(head, word):
    axes = network(plan_network(Experiment(head=head), (28, 28, 1), 10))
    written = {text.get_text() for text in axes.texts}
    assert written & {"average", "maximum"} == ({word} if word else set())
