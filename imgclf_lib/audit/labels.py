"""Labels that are probably wrong, by confident learning; a test that was given stays closed."""

import warnings
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imgclf_lib.audit.findings import make_findings
from imgclf_lib.data import ImageData, group_images
from imgclf_lib.errors import InputError
from imgclf_lib.evaluation import principal_components
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import build_model
from imgclf_lib.storage import progress_bar
from imgclf_lib.training import cached_features

FOLDS = 5
MOST_ROWS = 60_000  # more are sampled
FEWEST = 3  # groups of images of a class, below which nothing can be said about its labels
SURE, DOUBT = 0.7, 0.05  # least probability of the suggested label, largest of the given one
COLUMNS = ["row", "label", "suggested", "score"]
MOST_BYTES = 800_000_000  # of images or features that are held in memory


def find_label_errors(
    inputs: np.ndarray,
    labels: np.ndarray,
    classes: int,
    seed: int = 0,
    groups: np.ndarray | None = None,
    most_rows: int = MOST_ROWS,
) -> pd.DataFrame:
    """Find images that a classifier, trained without them, confidently puts into another class.

    From Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset
    Labels" (2021), as in the package ``cleanlab``. The classifier is softmax regression on
    principal components: quick, and only as good as what it is given. Features of a pretrained
    network find far more than pixels do. A poor classifier suspects much by confident learning
    alone, so a suspect must also be sure: it has at most 5 % for the given label and at least
    70 % for another one. One temperature for all images first takes away the confidence that the
    classifier has not earned (Guo et al., "On Calibration of Modern Neural Networks", 2017).
    """
    if find_spec("cleanlab") is None:
        raise InputError(
            "Labels that look wrong are found with the package cleanlab, which is not installed",
            do="Run: pip install 'imgclf[labels]'",
        )
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    rows = np.arange(len(labels))
    if len(rows) > most_rows:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), most_rows, replace=False))
    pairs = pd.DataFrame({"label": labels[rows], "group": groups[rows]})
    counts = pairs.drop_duplicates()["label"].value_counts()
    known = np.sort(counts.index[counts >= FEWEST].to_numpy())
    if len(known) < 2:
        raise InputError(
            "Too few images to find labels that look wrong",
            allowed=f"at least {FEWEST} different images in each of two classes",
            received=np.bincount(labels, minlength=classes).tolist(),
        )
    rows = rows[np.isin(labels[rows], known)]
    given = np.searchsorted(known, labels[rows])
    values = principal_components(inputs, rows, seed)(inputs, rows)
    probabilities = _calibrated(_out_of_fold(values, given, groups[rows], seed), given)
    predicted = probabilities.argmax(1)
    suspects = _suspects(probabilities, given)
    table = pd.DataFrame(
        {
            "row": rows,
            "label": labels[rows],
            "suggested": known[predicted],
            "score": probabilities[np.arange(len(rows)), given],
        }
    )
    sure = (probabilities.max(1) >= SURE) & (table["score"] <= DOUBT)
    table = table[suspects & sure & (predicted != given)].sort_values(["score", "row"])
    table = table[COLUMNS].reset_index(drop=True)
    table.attrs = {"judged": len(rows), "accuracy": float((predicted == given).mean())}
    return table


def _suspects(probabilities: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Boolean array: those that cleanlab prunes both by noise rate and by class."""
    from cleanlab.filter import find_label_issues

    return find_label_issues(given, probabilities, filter_by="both", n_jobs=1)


def _out_of_fold(
    values: np.ndarray, given: np.ndarray, groups: np.ndarray, seed: int
) -> np.ndarray:
    """Probabilities of every image from a classifier that saw none of its group."""
    fold = _folds(given, groups, seed)
    probabilities = np.zeros((len(given), given.max() + 1))
    strength = max(0.1, 250 / len(given))  # strict, or it learns wrong labels by heart
    for held in progress_bar(np.unique(fold), "Looking for wrong labels", unit="fold"):
        known, asked = fold != held, fold == held
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=strength, tol=1e-3, max_iter=200)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for this purpose
            model.fit(values[known], given[known])
        columns = model[-1].classes_
        probabilities[np.ix_(asked, columns)] = model.predict_proba(values[asked])
    return probabilities


def _calibrated(probabilities: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Probabilities at the temperature that fits the labels best; never surer than before."""
    logits = np.log(probabilities.clip(1e-12))
    own = np.arange(len(given)), given

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        return float((logsumexp(scaled, axis=1) - scaled[own]).mean())

    return softmax(logits / minimize_scalar(loss, bounds=(1, 20), method="bounded").x, axis=1)


def _folds(given: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """The fold of each image: groups stay whole, and every class is spread over the folds."""
    order = np.random.default_rng(seed).permutation(len(given))
    shuffled = pd.DataFrame({"label": given, "group": groups}).iloc[order]
    first = shuffled.drop_duplicates("group").sort_values("label", kind="stable")
    fold_of = pd.Series(np.arange(len(first)) % FOLDS, index=first["group"])
    return fold_of.loc[groups].to_numpy()


class Judged(NamedTuple):
    """Whose labels were judged.

    Args:
        judged: How many images.
        images: Of how many.
        accuracy: The share that the classifiers put into the class of the label, 0 to 1.
        left_alone: How many of those that were not judged are test images that were given.
    """

    judged: int
    images: int
    accuracy: float
    left_alone: int

    @property
    def sentence(self) -> str:
        """What was judged, in words."""
        others = self.images - self.judged - self.left_alone
        left = [f"{self.left_alone:,} test images that were given"] if self.left_alone else []
        left += [f"{others:,} that are too many, or of classes of too few images"] if others else []
        return (
            f"The labels of {self.judged:,} of {self.images:,} images were judged, each by a"
            f" classifier that had not seen it; these are right on {self.accuracy:.0%}."
            + (f" Not judged were {' and '.join(left)}." if left else "")
        )

    @property
    def metrics(self) -> dict[str, Any]:
        """The numbers as JSON can hold them."""
        return self._asdict()


def label_findings(
    experiment: Experiment,
    data: ImageData,
    pairs: np.ndarray | None = None,
    test_given: bool = True,
) -> tuple[pd.DataFrame, Judged]:
    """Images that look like another class; test images only where they were chosen here."""
    names = ("train", "val") if test_given else ("train", "val", "test")
    if experiment.backbone:
        model = build_model(experiment, data.image_shape, len(data.class_names))
        features = cached_features(model, experiment, data, names, progress="bar")
        parts = [features[name] for name in names]
    else:
        parts = [getattr(data, name) for name in names]
    total = sum(map(len, parts))
    size = max(1, parts[0].images[:1].nbytes)
    share = min(1.0, MOST_BYTES / size / max(1, total))
    parts = [part.sample(max(1, int(share * len(part))) if share < 1 else 0) for part in parts]
    paths = np.concatenate([part.paths for part in parts])
    groups = pd.Series(group_images(data.table, pairs), index=data.table["path"])
    groups = groups[(data.table["problem"] == "").to_numpy()]
    found = find_label_errors(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.labels for part in parts]),
        len(data.class_names),
        groups=groups.loc[paths].to_numpy(),
    )
    used = data.table.loc[data.table["problem"] == "", "split"]
    closed = int((used == "test").sum()) if test_given else 0
    judged = Judged(found.attrs["judged"], len(used), found.attrs["accuracy"], closed)
    classes = np.array(data.class_names, dtype=object)
    right = f"{judged.accuracy:.0%} of {judged.judged:,} images"
    details = [
        f"labelled {classes[label]!r}, looks like {classes[other]!r}: its label has a"
        f" probability of {score:.2g}, from a classifier that is right on {right}"
        for label, other, score in zip(
            found["label"], found["suggested"], found["score"], strict=True
        )
    ]
    rows = make_findings(
        "likely label error",
        paths[found["row"]],
        details,
        action="relabel",
        label=classes[found["suggested"]],
    )
    return rows, judged
