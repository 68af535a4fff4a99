"""What an audit can find: each kind with its severity, what it means, and what to do."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from imgclf_lib.data import PROBLEMS

SEVERITIES = ("error", "warning", "remark")
FINDING_COLUMNS = ("severity", "problem", "path", "detail", "related", "action", "label")
MOST_RELATED = 20  # a finding names no more other files than this, and counts the rest


class Kind(NamedTuple):
    """One kind of finding.

    Args:
        severity: ``error``: scores would be untrue, or a file is lost; ``warning``: look at it
            before you train; ``remark``: good to know.
        meaning: What it means, in a sentence.
        do: What to do about it.
    """

    severity: str
    meaning: str
    do: str


NOTHING = "Nothing needs to be done."
_ON_REJECTED = {  # severity, what to do
    "hidden": ("remark", "Let it be if it is no image of yours."),
    "no class": ("warning", "Move it into the folder of its class if it belongs to the data."),
    "not in a split": (
        "warning",
        "Let it be if it does not belong to the data, or move it into the folder of a split.",
    ),
    "archive": ("warning", ""),
    "not listed": ("remark", "Add a row for it if it belongs to the data."),
    "unknown extension": ("remark", ""),
    "excluded": ("remark", NOTHING),
    "link": ("warning", "Remove the link, or let it point elsewhere."),
    "special file": ("warning", ""),
    "bad name": ("warning", ""),
    "unsafe": ("warning", "Unpack the archive yourself if you trust it."),
    "repeated": ("warning", "Name each file once."),
    "unsupported format": (
        "error",
        "HEIC photos: on macOS sips -s format jpeg a.heic --out a.jpg; on Windows open them in"
        " Photos and save them as JPEG; on Linux heif-convert a.heic a.jpg (package"
        " libheif-examples); for new ones of an iPhone choose Settings, Camera, Formats, Most"
        " Compatible.",
    ),
    "missing": ("error", "Correct the path in the list, or bring the file back."),
}


def _rejection(problem: str, sentence: str) -> Kind:
    """The sentence of the catalogue; many of them already say in their second part what to do."""
    severity, do = _ON_REJECTED.get(problem, ("error", ""))
    mark = ": " if ": " in sentence else ". "
    meaning, _, advice = sentence.partition(mark) if not do else (sentence, "", "")
    advice = do or advice
    return Kind(severity, f"{meaning.rstrip('.')}.", advice[:1].upper() + advice[1:])


FINDINGS = {
    "no usable image": Kind(
        "error", "Not one file can be used.", "See the reasons below, and the layout of folders."
    ),
    "one class": Kind(
        "error", "There is nothing to tell apart.", "Put each class into a folder of its own."
    ),
    "unclear layout": Kind(
        "error",
        "The folders can be read in two ways, and training refuses to guess.",
        "If the folders that are named are classes, use --class_folders plain; if they are splits,"
        " put a folder for each class into them.",
    ),
    "duplicate with conflicting labels": Kind(
        "error",
        "The same picture has different labels: at least one of them is wrong.",
        "Decide which is right; relabel or exclude the others.",
    ),
    "duplicate across splits": Kind(
        "error",
        "The same picture is in more than one split: scores look better than they are.",
        "Exclude it from training, and keep the test image.",
    ),
    "class without training images": Kind(
        "error", "The class is asked for but never shown.", "Add training images of it."
    ),
    **{name: _rejection(name, sentence) for name, sentence in PROBLEMS.items()},
    "one scene": Kind(
        "warning",
        "Many pictures of several classes are nearly the same, as of a camera that stands still:"
        " the classes differ in little.",
        "See that this little is left at the --image_size; tell with --group which pictures were"
        " taken together, or train with --near_duplicates split.",
    ),
    "tracks": Kind(
        "warning",
        "By their names, images are frames of a film or a burst, which no hash finds: in training"
        " and test at once they make scores look better than they are.",
        "Train with the --group that is named, or with one that you know to be right.",
    ),
    "near-duplicate with conflicting labels": Kind(
        "warning",
        "Two nearly equal pictures have different labels.",
        "Look at both; relabel or exclude one if a label is wrong.",
    ),
    "near-duplicate across splits": Kind(
        "warning",
        "Nearly the same picture is in more than one split: scores look better than they are.",
        "Look at both; exclude the one in training if they show the same thing.",
    ),
    "duplicate": Kind("warning", "The same picture is there more than once.", "Keep one of them."),
    "likely label error": Kind(
        "warning",
        "Networks that never saw this image agree on another class.",
        "Look at it; relabel it if its label is wrong.",
    ),
    "class names alike": Kind(
        "warning",
        "Two class names look the same to people and are different to the program.",
        "Put their images into one folder if one class is meant.",
    ),
    "class imbalance": Kind(
        "warning",
        "Some classes have far fewer images: a network learns to ignore them, and accuracy hides"
        " it.",
        "Add images of the rare classes, or train with --class_weights balanced or --sampling"
        " balanced; look at the recall of each class.",
    ),
    "few images": Kind(
        "warning",
        "The class has too few images to be learned or measured well.",
        "Add images, or use --backbone efficientnet_lite0.",
    ),
    "empty class": Kind(
        "warning", "The folder of this class has no usable image.", "Add images, or remove it."
    ),
    "class missing from a split": Kind(
        "warning", "Nothing can be measured for this class there.", "Add images of it."
    ),
    "nested class folders": Kind(
        "warning",
        "All images lie one folder deeper than the folder that names their class.",
        "If the inner folders are the classes, use --class_folders nested.",
    ),
    "nearly constant": Kind(
        "warning", "The image shows next to nothing.", "Look at it, and exclude it if so."
    ),
    "very dark": Kind("warning", "The image is nearly black.", "Look at it."),
    "very bright": Kind("warning", "The image is nearly white.", "Look at it."),
    "odd light": Kind(
        "warning",
        "Its brightness and contrast together are unlike those of the other images, as of a"
        " placeholder or a page of text.",
        "See that it is one of them.",
    ),
    "blurred": Kind("warning", "The image has far less detail than the others.", "Look at it."),
    "odd size": Kind(
        "warning", "Its size is unlike that of the other images.", "See that it is one of them."
    ),
    "odd shape": Kind(
        "warning",
        "It is far longer or flatter than the other images.",
        "See that padding or cropping leaves enough of it.",
    ),
    "little left": Kind(
        "warning",
        "It is so long and narrow that its shorter side shrinks to a few pixels.",
        "Give a larger --image_size, or --resize squash.",
    ),
    "few of 16 bits": Kind(
        "warning",
        "The file has 16 bits a pixel and uses few of them: 8 bits leave little of the picture.",
        "Stretch the values, of all files alike, and save them anew.",
    ),
    "near-duplicate": Kind(
        "remark",
        "Nearly the same picture is there more than once.",
        "Splits that are made here keep such images together where they can.",
    ),
    "odd kind": Kind(
        "remark",
        "Hardly any other file is of this kind, so it may come from elsewhere.",
        "See that it is one of them.",
    ),
    "inner folder": Kind(
        "remark", "A folder inside a class folder: its images count to that class.", NOTHING
    ),
    "wrong extension": Kind(
        "remark", "The content is an image of another kind than its name says.", NOTHING
    ),
    "animation": Kind(
        "remark", "The file holds several pictures; the first of them is used.", NOTHING
    ),
    "column not used": Kind("remark", "A column of the list says nothing that is used.", NOTHING),
    "classes inside a class": Kind(
        "warning",
        "A folder that counts as one class holds nothing but named folders.",
        "If the inner folders are the classes, use --class_folders nested.",
    ),
    "names guessed": Kind(
        "warning",
        "The archive does not say how its names are written: names of classes may be wrong.",
        "If they are, unpack it yourself and give the folder.",
    ),
    "list not used": Kind(
        "warning", "A list in the folder is not used.", "Give the list itself with --data."
    ),
    "note": Kind("remark", "The image is used, with a remark.", NOTHING),
}
_RANKS = {kind: rank for rank, kind in enumerate(FINDINGS)}


def make_findings(
    problem: str | Sequence[str] | pd.Series,
    paths: Sequence[str] | pd.Series,
    details: Sequence[str] | pd.Series,
    related: Sequence[tuple[str, ...]] | None = None,
    action: str | Sequence[str] | pd.Series = "",
    label: str | Sequence[str] | pd.Series = "",
) -> pd.DataFrame:
    """Findings as a table."""
    count = len(paths)
    columns = {
        name: [value] * count if isinstance(value, str) else list(value)
        for name, value in {
            "problem": problem,
            "path": paths,
            "detail": details,
            "action": action,
            "label": label,
        }.items()
    }
    table = pd.DataFrame(columns, dtype="str")
    table["severity"] = table["problem"].map(
        {name: kind.severity for name, kind in FINDINGS.items()}
    )
    others = [()] * count if related is None else list(related)
    table["related"] = pd.Series(others, dtype=object)
    return table[list(FINDING_COLUMNS)]


def sort_findings(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All findings in one table: by severity, then kind in the order of ``FINDINGS``, then path."""
    table = pd.concat([make_findings("", [], []), *(part for part in parts if len(part))])
    keys = {
        "rank": table["severity"].map(SEVERITIES.index),
        "kind": table["problem"].map(_RANKS),
    }
    ordered = table.assign(**keys).sort_values(["rank", "kind", "path", "detail"], kind="stable")
    return ordered.drop(columns=list(keys)).reset_index(drop=True)


def count_findings(findings: pd.DataFrame) -> pd.DataFrame:
    """How often each kind was found.

    Args:
        findings: As from ``sort_findings``.

    Returns:
        A row a kind, in the same order, with the columns ``severity``, ``problem``, ``count``,
        ``path`` and ``detail`` (those of its first finding), ``meaning`` and ``do``.
    """
    groups = findings.groupby("problem", sort=False)
    counts = groups[["severity", "path", "detail"]].first()
    counts.insert(1, "count", groups.size())
    counts = counts.reset_index()
    counts["meaning"] = [FINDINGS[name].meaning for name in counts["problem"]]
    counts["do"] = [FINDINGS[name].do for name in counts["problem"]]
    return counts[["severity", "problem", "count", "path", "detail", "meaning", "do"]]
