"""From a model to a run: batches, optimiser, loop, run folder, search.

``train`` is the way in: equal experiments on equal data are the same run, so a finished one is
loaded and never trained twice. A run that was killed goes on where it stopped, bit for bit.
Transfer learning and the search for better settings are built on the same run.

Notebook 04, Train, teaches it; 07 the search, 09 transfer learning, 10 speed.
"""

from imgclf_lib.training.batches import Batches, class_weights, fit_batches
from imgclf_lib.training.optimizer import compile_model, learning_rate_range_test
from imgclf_lib.training.runs import Run, load_model, run_folder
from imgclf_lib.training.trainer import train
from imgclf_lib.training.transfer import cached_features
from imgclf_lib.training.tuning import (
    FEWEST_TRIALS,
    Trial,
    about,
    best_trial,
    command_line,
    compare_trials,
    describe_change,
    importance,
    progress_line,
    propose,
    search,
    table_html,
    trial_table,
)

__all__ = [
    "FEWEST_TRIALS",
    "Batches",
    "Run",
    "Trial",
    "about",
    "best_trial",
    "cached_features",
    "class_weights",
    "command_line",
    "compare_trials",
    "compile_model",
    "describe_change",
    "fit_batches",
    "importance",
    "learning_rate_range_test",
    "load_model",
    "progress_line",
    "propose",
    "run_folder",
    "search",
    "table_html",
    "train",
    "trial_table",
]
