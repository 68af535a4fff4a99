"""From a run to what it is worth: metrics with intervals, baselines, predictions, advice.

``evaluate`` opens the test split, once. Every share comes with an interval, and every comparison
with a test that says whether the difference may be luck. Prediction reads a file, bytes or a
drawing through the same pixel path as training.

Notebook 05, Evaluate, teaches it; 06 prediction.
"""

from imgclf_lib.evaluation.advice import data_advice, result_advice
from imgclf_lib.evaluation.baselines import (
    predict_linear,
    predict_most_frequent,
    predict_nearest,
    principal_components,
)
from imgclf_lib.evaluation.luck import compare_predictions, compare_seeds, mcnemar_test
from imgclf_lib.evaluation.metrics import (
    Evaluation,
    calibration_table,
    classes_to_show,
    confused_pairs,
    coverage_table,
    evaluate,
    images_in_cell,
    lowest_threshold,
    measure,
    wilson_interval,
)
from imgclf_lib.evaluation.prediction import (
    ImagePrediction,
    Manner,
    draw_strokes,
    manner_of,
    predict_files,
    predict_image,
)

__all__ = [
    "Evaluation",
    "ImagePrediction",
    "Manner",
    "calibration_table",
    "classes_to_show",
    "compare_predictions",
    "compare_seeds",
    "confused_pairs",
    "coverage_table",
    "data_advice",
    "draw_strokes",
    "evaluate",
    "images_in_cell",
    "lowest_threshold",
    "manner_of",
    "mcnemar_test",
    "measure",
    "predict_files",
    "predict_image",
    "predict_linear",
    "predict_most_frequent",
    "predict_nearest",
    "principal_components",
    "result_advice",
    "wilson_interval",
]
