"""The optimiser Muon for convolutions: steps whose directions all count alike."""

from functools import lru_cache
from typing import Any

from imgclf_lib.backend import load_keras


@lru_cache(maxsize=1)
def muon_class() -> Any:
    """Muon, for the kernels of convolutions; every other weight is left to Adam.

    From Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). The
    Muon of Keras leaves convolutions to Adam; this one sees a kernel as a matrix with a column
    for each filter. The size of a step is that of Liu et al., "Muon is Scalable for LLM Training"
    (2025), so that the learning rate of Adam fits.

    Returns:
        A subclass of ``keras.optimizers.Muon``, to be made with the same arguments.
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
