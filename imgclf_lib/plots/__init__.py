"""Arrays and tables in, Matplotlib axes out.

Nothing here computes a result, seeds, saves or shows by itself, and nothing knows Keras. Every
figure carries a title, labels, an alternative text, and colours that all eyes can tell apart;
``show`` puts it into the page.

Every notebook uses it.
"""

from imgclf_lib.plots.audit import (
    class_bars,
    finding_bars,
    measure_histograms,
    pair_grid,
    size_scatter,
)
from imgclf_lib.plots.charts import bars, histogram, image_grid, lines, scatter
from imgclf_lib.plots.evaluation import (
    A_PAGE,
    PREDICTION_SIZE,
    calibration,
    cell_images,
    confusion_matrix,
    coverage,
    prediction,
    save_evaluation_figures,
)
from imgclf_lib.plots.figures import (
    DOTS_PER_INCH,
    PALETTE,
    cut,
    mime_bundle,
    new_axes,
    new_figure,
    plain,
    png,
    short_names,
    show,
)
from imgclf_lib.plots.training import (
    against_knobs,
    bench_points,
    few_images,
    knob_bars,
    learning_curves,
    network,
    trial_curves,
)

__all__ = [
    "A_PAGE",
    "DOTS_PER_INCH",
    "PALETTE",
    "PREDICTION_SIZE",
    "against_knobs",
    "bars",
    "bench_points",
    "calibration",
    "cell_images",
    "class_bars",
    "confusion_matrix",
    "coverage",
    "cut",
    "few_images",
    "finding_bars",
    "histogram",
    "image_grid",
    "knob_bars",
    "learning_curves",
    "lines",
    "measure_histograms",
    "mime_bundle",
    "network",
    "new_axes",
    "new_figure",
    "pair_grid",
    "plain",
    "png",
    "prediction",
    "save_evaluation_figures",
    "scatter",
    "short_names",
    "show",
    "size_scatter",
    "trial_curves",
]
