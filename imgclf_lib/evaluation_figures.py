"""The pictures that ``imgclf evaluate`` puts beside its figures."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imgclf_lib import figures, plots, result_plots
from imgclf_lib.evaluate import Evaluation, calibration_table

MOST_MISTAKES = 32


def save_evaluation_figures(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write confusion matrix, calibration and the most confident mistakes as PNG files.

    Args:
        evaluation: The result of ``evaluate.evaluate``.
        folder: Where to; usually the run folder.

    Returns:
        The files: ``confusion_matrix.png``, ``calibration.png`` and, if the model made any,
        ``mistakes.png``.
    """
    split, names = evaluation.split, evaluation.class_names
    drawings: dict[str, Axes | Figure] = {
        "confusion_matrix": result_plots.confusion_matrix(
            evaluation.figures["confusion_matrix"], names
        ),
        "calibration": result_plots.calibration(
            calibration_table(evaluation.probabilities, split.labels), "Calibration"
        ),
    }
    table = evaluation.predictions
    worst = table[~table["right"]].nlargest(MOST_MISTAKES, "probability")
    if len(worst):
        titles = [
            f"is {row.label}\nsaid {row.predicted}\n{row.probability:.2f}"
            for row in worst.itertuples()
        ]
        drawings["mistakes"] = plots.image_grid(
            split.images[worst.index.to_numpy()], titles, title="Most confident mistakes"
        )
    paths = []
    for name, drawing in drawings.items():
        paths.append(folder / f"{name}.png")
        figures.save(drawing, paths[-1])
    return paths
