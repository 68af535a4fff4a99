"""What ``fit`` needs: optimiser, schedule, loss and metric, and a learning rate."""

import sys
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from imgclf_lib.backend import backend_name, compute_dtype, load_keras
from imgclf_lib.data import load_data
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import build_model, pixel_statistics
from imgclf_lib.training.batches import Batches

if TYPE_CHECKING:
    import keras

WARM_UP = 0.3  # share of one_cycle in which the learning rate rises


def compile_model(model: "keras.Model", experiment: Experiment, steps: int) -> None:
    """Give a model its optimiser, loss and metric.

    Args:
        model: An uncompiled model with softmax outputs.
        experiment: Optimiser, learning rate, schedule, weight decay and label smoothing.
        steps: Training steps of the whole run; the schedules need to know.
    """
    keras = load_keras(experiment.backend)
    rate: Any = experiment.learning_rate
    if experiment.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    elif experiment.schedule == "one_cycle":
        rising = max(1, round(steps * WARM_UP))
        rate = keras.optimizers.schedules.CosineDecay(
            rate / 25, max(1, steps - rising), warmup_target=rate, warmup_steps=rising
        )
    kind: Any = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "sgd": keras.optimizers.SGD,
        "rmsprop": keras.optimizers.RMSprop,
    }.get(experiment.optimizer)
    options: dict[str, Any] = {"weight_decay": experiment.weight_decay}
    if experiment.optimizer == "sgd":
        options |= {"momentum": 0.9, "nesterov": True}
    if experiment.optimizer == "muon":
        kind = muon_class()
        options |= {"momentum": 0.9, "adam_weight_decay": experiment.weight_decay}
    if experiment.ema:
        options |= {"use_ema": True, "ema_momentum": experiment.ema}
    optimizer = kind(rate, **options)
    if experiment.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if compute_dtype(experiment.precision) == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    # Sparse labels are enough for plain cross-entropy; smoothing needs whole distributions.
    loss = (
        keras.losses.CategoricalCrossentropy(label_smoothing=experiment.label_smoothing)
        if experiment.label_smoothing
        else keras.losses.SparseCategoricalCrossentropy()
    )
    fuse_batch_normalization(model)
    model.compile(optimizer, loss, metrics=["accuracy"])
    # A step that first makes the optimiser's variables would be traced a second time without them.
    optimizer.build(model.trainable_variables)


@lru_cache(maxsize=1)
def muon_class() -> Any:
    """Muon, for the kernels of convolutions; every other weight is left to Adam.

    From Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). The
    Muon of Keras leaves convolutions to Adam; this one sees a kernel as a matrix with a column
    for each filter. The size of a step is that of Liu et al., "Muon is Scalable for LLM Training"
    (2025), so that the learning rate of Adam fits.
    """
    keras = load_keras()
    ops = keras.ops

    @keras.saving.register_keras_serializable("imgclf")
    class ConvolutionMuon(keras.optimizers.Muon):  # type: ignore[name-defined]
        def _should_use_adamw(self, variable: Any) -> bool:
            return len(variable.shape) != 4

        def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
            self.assign_add(m, ops.add(gradient, m * (self.momentum - 1)))
            ahead = ops.add(gradient, self.momentum * m) if self.nesterov else m
            matrix = ops.reshape(ahead, (-1, variable.shape[-1]))
            even = self.zeropower_via_newtonschulz5(matrix, self.ns_steps)
            step = ops.reshape(self.lr_adjust(lr * even), variable.shape)
            self.assign_sub(variable, step)

    return ConvolutionMuon


def fuse_batch_normalization(model: "keras.Model") -> None:
    """Let a model's batch normalisation train in one operation, on TensorFlow.

    Keras composes it of a dozen, each of which reads and writes all feature maps: on two cores a
    seventh of a training step of ``fast`` (``bench/profile_step.py``). The layers stay those of
    Keras: they are saved, loaded and used to predict as before, and compute the same numbers, but
    for rounding.
    """
    if backend_name() != "tensorflow":
        return
    kind = load_keras().layers.BatchNormalization
    for layer in model.layers:
        if isinstance(layer, kind) and layer.axis in (-1, 3):
            layer.call = partial(_normalize, layer)


def _normalize(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    if not training or not layer.trainable or len(inputs.shape) != 4:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    ops = load_keras().ops
    tensorflow = sys.modules["tensorflow"]  # nothing in Keras serves
    outputs, mean, variance = tensorflow.compat.v1.nn.fused_batch_norm(
        inputs, layer.gamma, layer.beta, epsilon=layer.epsilon, is_training=True
    )
    count = ops.cast(ops.size(inputs) // layer.gamma.shape[0], "float32")
    biased = variance * (count - 1) / count  # TensorFlow gives that of a sample, Keras keeps this
    for average, new in ((layer.moving_mean, mean), (layer.moving_variance, biased)):
        average.assign(average * layer.momentum + new * (1 - layer.momentum))
    return outputs


def learning_rate_range_test(
    experiment: Experiment, lowest: float = 1e-5, highest: float = 1.0, steps: int = 100
) -> pd.DataFrame:
    """Raise the learning rate a little after every step and watch the loss.

    From Smith, "Cyclical Learning Rates for Training Neural Networks" (2017).

    Args:
        experiment: What to train; its own learning rate is not used.
        lowest: First learning rate.
        highest: Last learning rate.
        steps: Number of steps; the rate grows by the same factor each time.

    Returns:
        A table with the columns ``learning_rate`` and ``loss``. It ends early where the loss
        is more than four times its best value.
    """
    load_keras(experiment.backend)
    data = load_data(experiment)
    plain = experiment.replace(schedule="constant", learning_rate=lowest)
    model = build_model(
        plain, data.image_shape, len(data.class_names), pixel_statistics(data.train.images)
    )
    compile_model(model, plain, steps)
    batches = Batches(data.train, plain, len(data.class_names), training=True)
    rows = []
    for step, rate in enumerate(np.geomspace(lowest, highest, steps)):
        model.optimizer.learning_rate = rate
        if step % len(batches) == 0:
            batches.begin(step // len(batches))
        result = model.train_on_batch(*batches[step % len(batches)], return_dict=True)
        model.reset_metrics()
        rows.append((rate, float(result["loss"])))
        if not rows[-1][1] <= 4 * min(loss for _, loss in rows):
            break
    return pd.DataFrame(rows, columns=["learning_rate", "loss"])
