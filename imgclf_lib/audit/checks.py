"""What can be wrong with files and classes: rejected, odd, too few, mixed up, or there twice."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter

from imgclf_lib.audit.findings import MOST_RELATED, make_findings
from imgclf_lib.data import components
from imgclf_lib.files import image_suffixes

# A value is odd if it is far from the others and also beyond a limit of its own: a folder in
# which all images are alike, or all are different, gives few findings.
FAR = 3.5  # robust z-score (Iglewicz and Hoaglin 1993)
TIMES_SIZE = 3.0  # as long or as short as the middle image, in mean side length
TIMES_SHAPE = 2.5  # as flat or as tall as the middle image
DARK, BRIGHT = 12.0, 243.0  # mean grey, 0 to 255
ODD_LIGHT = 5.0  # robust z-score of brightness and contrast together, both as distances
TIMES_CONTRAST = 2.5  # less contrast than the middle image has, at least
RARE = (
    2,
    20,
    0.9,
)  # files of a kind at most, among how many, and the least share of the usual kind
UNUSUAL = 2.0  # robust z-score that a dark or bright image must also have: grey has ends
# Variance of the Laplacian, as a part of the variance of the grey values: of white noise 20, of
# sharp photographs 0.2 to 2, of those that were blurred so that one sees it below 0.05.
DETAIL = 0.05
CONSTANT = 4.0  # standard deviation of the grey values, 0 to 255
CANDIDATE = 20 * CONSTANT**2  # the Laplacian of noise has 20 times its variance
# Files that a fix list may leave out; the others are out of the way already, or not there.
LOST = (
    *("excluded", "empty", "damaged", "not an image", "unsupported format"),
    *("too large", "unreadable"),
)
LEFT = 8  # rows or columns of a picture that are too few
STRUCTURE = 0.6  # least correlation of details of copies: at least 0.9, by accident below 0.4
SCENE = 5  # pictures of each of two classes that are nearly the same, and then surely no mistakes
PIECE = 2_000_000  # pixels held as floats at a time
FEW_IMAGES = 10  # a class with fewer training images is neither learned nor measured well
IMBALANCE = 3.0  # with two classes, three to one makes "always the larger" right in 75 % of cases
LAST = r"/?[^/]*$"  # the name of a file in a path, which may hold line breaks
# Letters of other scripts that look like Latin ones, in lower case.
_LOOK_ALIKE = str.maketrans("аеорсухіјѕԁԛԝһӏνοαικρτυχᴏıⅼ", "aeopcyxijsdqwhlvoaikptuxoil")
# What is measured on outranks what is learned from: its copies leave, it stays.
RANKS = {"": 0, "train": 0, "val": 1, "test": 2}
NAMED = 3  # files that a detail names
Row = tuple[str, str, str]  # problem, path, detail


def file_findings(
    table: pd.DataFrame, images: np.ndarray, places: np.ndarray, padded: bool = True
) -> pd.DataFrame:
    """Findings about single files."""
    used = table[table["problem"] == ""]
    odd = _odd(used, images, places, padded)
    return pd.concat([_rejected(table), _remarks(used), *odd, _odd_kinds(used)])


def _odd_kinds(used: pd.DataFrame) -> pd.DataFrame:
    """Files whose format or mode almost no other file has."""
    ending = used["path"].str.extract(r"(\.[^./]+)$")[0].str.lower().fillna("")
    formats = ending.map(lambda each: image_suffixes().get(each, each)).replace("MPO", "JPEG")
    most, among, share = RARE
    details = pd.Series("", used.index)
    for values in [formats, *([used["mode"]] if "mode" in used else [])]:
        counts = values.value_counts()
        if len(used) >= among and counts.iloc[0] >= share * len(used):
            words = values + f", and {counts.index[0]} is usual"
            details += words.where(values.map(counts) <= most, "")[used.index] + "\n"
    details = details.str.strip("\n").str.replace(r"\n+", "; ", regex=True)
    at = details != ""
    return make_findings("odd kind", used["path"][at], details[at], action="keep")


def _robust_score(values: np.ndarray) -> np.ndarray:
    """Distance from the median in robust standard deviations; 0 if unknown or of fewer than 8."""
    known = np.isfinite(values)
    if known.sum() < 8:
        return np.zeros(len(values))
    away = values - np.median(values[known])
    spread = 1.4826 * np.median(np.abs(away[known]))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(away / spread, nan=0.0, posinf=np.inf, neginf=-np.inf)


def _rejected(table: pd.DataFrame) -> pd.DataFrame:
    bad = table[table["problem"] != ""]
    action = np.where(bad["problem"].isin(LOST), "exclude", "")
    return make_findings(bad["problem"], bad["path"], bad["detail"], action=action)


def _remarks(used: pd.DataFrame) -> pd.DataFrame:
    said = used[used["detail"] != ""]
    each = said.assign(detail=said["detail"].str.split("; ")).explode("detail")
    detail = each["detail"].astype("str")
    kinds = np.select(
        [
            detail.str.contains("the first is used"),
            detail.str.contains("content is"),
            detail.str.startswith("16-bit values"),
        ],
        ["animation", "wrong extension", "few of 16 bits"],
        "note",
    )
    return make_findings(kinds, each["path"], detail, action="keep")


def _odd(
    used: pd.DataFrame, images: np.ndarray, places: np.ndarray, padded: bool
) -> list[pd.DataFrame]:
    width, height = (used[name].to_numpy("float64").clip(1) for name in ("width", "height"))
    light, sharp = (used[name].to_numpy("float64") for name in ("brightness", "sharpness"))
    side, shape = np.sqrt(width * height), width / height
    smooth = np.log10(sharp.clip(1e-3))
    deviation = np.full(len(used), np.nan)
    rows = np.flatnonzero(sharp < CANDIDATE)  # others are neither constant nor blurred
    where = np.asarray(places)[used.index[rows]] if len(rows) else rows
    deviation[rows] = _contrast(images, where, shape[rows] if padded else np.ones(len(rows)))
    constant = deviation < CONSTANT
    odd_light, contrast = _odd_light(light, images, np.asarray(places)[used.index], shape, padded)
    short = np.minimum(width, height)
    size = images.shape[1]
    left = (short * size / np.maximum(width, height)).round().clip(1)
    checks = {
        "odd size": _beyond(np.log(side), np.log(TIMES_SIZE)),
        "odd shape": _beyond(np.log(shape), np.log(TIMES_SHAPE)),
        "little left": padded & (left < min(LEFT, size // 4)) & (short >= 2 * left),
        "very dark": (light < DARK) & (_robust_score(light) < -UNUSUAL),
        "very bright": (light > BRIGHT) & (_robust_score(light) > UNUSUAL),
        "nearly constant": constant,
        "odd light": odd_light & ~constant,
        "blurred": (sharp < DETAIL * deviation**2) & (_robust_score(smooth) < -FAR) & ~constant,
    }
    middle = {name: used[name].median() for name in ("width", "height", "brightness", "sharpness")}
    found = []
    for problem, odd in checks.items():
        at = np.flatnonzero(odd)
        details = [
            {
                "odd size": f"{width[i]:.0f} × {height[i]:.0f} pixels; the middle image has"
                f" {middle['width']:.0f} × {middle['height']:.0f}",
                "odd shape": f"{width[i]:.0f} × {height[i]:.0f} pixels",
                "little left": f"of {short[i]:.0f} {'rows' if height[i] < width[i] else 'columns'}"
                f" {left[i]:.0f} {'is' if left[i] == 1 else 'are'} left",
                "odd light": f"mean grey {light[i]:.0f} of 255, contrast {contrast[i]:.0f}; the"
                f" middle image has {middle['brightness']:.0f} and {np.median(contrast):.0f}",
                "nearly constant": f"standard deviation {deviation[i]:.1f}, mean grey"
                f" {light[i]:.0f} of 255",
                "blurred": f"sharpness {sharp[i]:.1f}; the middle image has"
                f" {middle['sharpness']:.0f}",
            }.get(
                problem,
                f"mean grey {light[i]:.0f} of 255; the middle image has {middle['brightness']:.0f}",
            )
            for i in at
        ]
        found.append(make_findings(problem, used["path"].iloc[at], details, action="keep"))
    return found


def _odd_light(
    light: np.ndarray, images: np.ndarray, places: np.ndarray, shape: np.ndarray, padded: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Where brightness and contrast together are far from the others; and all contrasts."""
    step = max(1, images.shape[1] // 16)  # few pixels tell the contrast, of many images soon
    contrast = _contrast(images, places, shape if padded else np.ones(len(shape)), step)
    if not len(contrast):
        return np.zeros(0, bool), contrast
    amount = np.log(contrast.clip(1))
    away = np.hypot(_robust_score(light), _robust_score(amount))
    return (away > ODD_LIGHT) & (amount < np.median(amount) - np.log(TIMES_CONTRAST)), contrast


def _beyond(values: np.ndarray, limit: float) -> np.ndarray:
    """Where values are far from the others, and at least so far from their middle."""
    if not len(values):
        return np.zeros(0, bool)
    return (np.abs(_robust_score(values)) > FAR) & (np.abs(values - np.median(values)) >= limit)


def _contrast(
    images: np.ndarray, places: np.ndarray, shape: np.ndarray, step: int = 1
) -> np.ndarray:
    """Standard deviation of the grey values of images, without their padding; 0 to 127.5."""
    size = images.shape[1]
    away = np.abs(np.arange(size) + 0.5 - size / 2)[::step]
    found = [np.empty(0)]
    length = max(1, PIECE // size**2)
    for start in range(0, len(places), length):
        some = slice(start, start + length)
        grey = images[places[some]][:, ::step, ::step].mean(-1)
        # One pixel less on each side: there the border mixes with the image.
        high = (size / 2 / shape[some].clip(1) - 1).clip(0.5)
        wide = (size / 2 * shape[some].clip(None, 1) - 1).clip(0.5)
        inside = (away <= high[:, None])[:, :, None] & (away <= wide[:, None])[:, None, :]
        found.append(grey.std((1, 2), where=inside))
    return np.concatenate(found)


def class_findings(table: pd.DataFrame, folder: Path | None = None) -> pd.DataFrame:
    """Findings about classes rather than about single files."""
    used = table[table["problem"] == ""]
    places = _class_folders(table)
    rows = [*_counts(table, used, places), *_alike(used, places), *_inner(used)]
    if folder is not None:
        rows += _empty(folder, table, places)
    if not rows:
        return make_findings("", [], [])
    problems, paths, details = zip(*rows, strict=True)
    return make_findings(problems, paths, details)


def _class_folders(table: pd.DataFrame) -> dict[str, str]:
    """For each class its folder, of the training images if there are splits."""
    named = table[table["label"] != ""]
    order = named.assign(last=~named["split"].isin(["", "train"])).sort_values(
        "last", kind="stable"
    )
    firsts = order.drop_duplicates("label")
    return {
        label: _up_to(path, label) or label
        for label, path in zip(firsts["label"], firsts["path"], strict=True)
    }


def _up_to(path: str, label: str) -> str:
    """The beginning of a path, as far as the folder of its class; empty if there is none."""
    before, found, _ = f"/{path}".partition(f"/{label}/")
    return f"{before}/{label}".lstrip("/") if found else ""


def _counts(table: pd.DataFrame, used: pd.DataFrame, places: dict[str, str]) -> list[Row]:
    rows = []
    every = used["label"].value_counts()
    seen = table[table["problem"] != "hidden"]  # a folder of hidden files is no class
    for label in sorted(set(seen["label"]) - set(every.index) - {""}):
        found = (table["label"] == label).sum()
        detail = f"{_counted(found, 'file')}, none of them usable"
        rows.append(("empty class", places[label], detail))
    if every.empty:
        return [("no usable image", "", _counted(len(table), "file")), *rows]
    if len(every) == 1:
        rows.append(("one class", places[every.index[0]], f"every image is {every.index[0]!r}"))
    by_split = used.groupby(["label", "split"]).size().unstack(fill_value=0)
    given = [split for split in ("train", "val", "test") if split in by_split]
    training = by_split["train"] if given else every
    for label, count in training.sort_index().items():
        if count == 0:
            rows.append(("class without training images", places[label], f"class {label!r}"))
        elif count < FEW_IMAGES:
            what = _counted(count, "training image" if given else "image")
            detail = f"class {label!r} has {what}"
            rows.append(("few images", places[label], detail))
        for split in given:
            if count and by_split.loc[label, split] == 0:
                detail = f"class {label!r} has no image in {split}"
                rows.append(("class missing from a split", places[label], detail))
    learned = training[training > 0].sort_values(kind="stable")
    if len(learned) > 1 and learned.iloc[-1] >= IMBALANCE * learned.iloc[0]:
        (few, many), (small, large) = learned.iloc[[0, -1]], learned.index[[0, -1]]
        detail = (
            f"{small!r} has {_counted(few, 'image')}, {large!r} has {many:,}:"
            f" {many / few:.3g} times as many;"
            f" always answering {large!r} would be right for {many / learned.sum():.0%}"
        )
        rows.append(("class imbalance", places[small], detail))
    return rows


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _alike(used: pd.DataFrame, places: dict[str, str]) -> list[Row]:
    names = pd.Series(sorted(used["label"].unique()), dtype="str")
    rows = []
    for _, group in names.groupby(names.map(_skeleton)):
        if len(group) > 1:
            listed = ", ".join(map(ascii if _same_looks(group) else repr, group))
            reason = "look alike" if _same_looks(group) else "differ in case or spacing only"
            rows.append(("class names alike", places[group.iloc[0]], f"{listed} {reason}"))
    return rows


def _plain(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum())


def _skeleton(name: str) -> str:
    """What is left of a name when everything is gone that people overlook."""
    return _plain(name).translate(_LOOK_ALIKE) or name


def _same_looks(names: pd.Series) -> bool:
    """Whether other letters, or another Unicode form of them, make the difference."""
    simple = {name.casefold() for name in names}
    return len({_plain(name) for name in names}) > 1 or any(
        unicodedata.normalize("NFKC", name) != name for name in simple
    )


def _inner(used: pd.DataFrame) -> list[Row]:
    """Folders inside class folders; and classes that have nothing but such."""
    parents = used["path"].str.replace(LAST, "", regex=True)
    counts = used.groupby([used["label"], parents]).size()
    rows: list[Row] = []
    inner: dict[str, dict[str, int]] = {}
    for (label, parent), count in counts.items():
        place = _up_to(f"{parent}/", label)
        if place:
            inner.setdefault(place, {})[parent.removeprefix(place).lstrip("/")] = count
            if parent != place:
                detail = f"{_counted(count, 'image')} of class {label!r}"
                rows.append(("inner folder", parent, detail))
    for place, folders in inner.items():
        names = [name for name in folders if not any(c.isdigit() for c in name)]
        several = sum(folders.values()) >= 2 * len(folders)
        if "" not in folders and len(names) > max(1, len(folders) / 2) and several:
            listed = f"{', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
            rows.append(("nested class folders", place, f"inner folders {listed}"))
    return rows


def _empty(folder: Path, table: pd.DataFrame, places: dict[str, str]) -> list[Row]:
    """Folders beside those of classes that hold no file at all."""
    holding = {""}
    for parent in table["path"].str.replace(LAST, "", regex=True).unique():
        parts = parent.split("/")
        holding.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    beside = {place.rpartition("/")[0] for place in places.values()} or {""}
    rows = []
    for where, inner, _ in os.walk(folder):
        here = Path(where).relative_to(folder).as_posix()
        here = "" if here == "." else here
        inner[:] = [name for name in inner if not name.startswith(".")]
        for name in sorted(inner):
            path = f"{here}/{name}".lstrip("/")
            if here in beside and path not in holding:
                text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
                rows.append(("empty class", text, "no file"))
    return rows


def _number_pictures(table: pd.DataFrame) -> np.ndarray:
    """A number for each file, the same for the same pixels; -1 if the file is not used."""
    known = table["pixel_hash"].where(table["pixel_hash"] != "", table["hash"])
    codes = pd.factorize(known)[0].astype("int64")
    return np.where((table["problem"] == "") & (known != ""), codes, -1)


def group_twins(table: pd.DataFrame, pairs: np.ndarray) -> np.ndarray:
    """Number the files so that copies and near-duplicates have the same number."""
    picture = _number_pictures(table)
    used = np.flatnonzero(picture >= 0)
    _, first, inverse = np.unique(picture[used], return_index=True, return_inverse=True)
    copies = np.column_stack([used, used[first][inverse]])
    return components(len(table), np.concatenate([pairs[(picture[pairs] >= 0).all(1)], copies]))


def second_look(
    table: pd.DataFrame, pairs: np.ndarray, images: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Pairs without those of different labels that are alike in light and large shapes only.

    What counts is the correlation of details: of what is left of 32 x 32 pixels without the mean of
    their surroundings, which is without brightness, and without contrast.
    """
    first, second = table["label"].to_numpy()[pairs].T
    doubtful = np.flatnonzero((first != second) & (places[pairs] >= 0).all(1))
    same = np.ones(len(pairs), bool)
    for start in range(0, len(doubtful), 1000):
        some = doubtful[start : start + 1000]
        one, two = (_details(images[places[pairs[some, side]]]) for side in (0, 1))
        same[some] = (one * two).sum((1, 2)) >= STRUCTURE
    return pairs[same]


def _details(pixels: np.ndarray) -> np.ndarray:
    """Grey details of pictures; the sum of the squares of each is 1, or 0."""
    share = -(-pixels.shape[1] // 32)
    size = pixels.shape[1] // share
    grey = pixels.mean(-1, dtype="float32")[:, : size * share, : size * share]
    grey = grey.reshape(-1, size, share, size, share).mean((2, 4))
    grey = grey - uniform_filter(grey, (0, size // 4, size // 4), mode="nearest")
    return grey / np.sqrt(np.square(grey).sum((1, 2), keepdims=True)).clip(1e-3)


def twin_findings(table: pd.DataFrame, pairs: np.ndarray) -> pd.DataFrame:
    """Copies and near-duplicates: one finding of each for every file that has any.

    Where many pictures of several classes are nearly the same, as of a camera that stands still,
    their labels are no conflict: that is one finding for all of them.

    A twin with another label is reported as such, before one in another split, and that before
    one beside it; the detail tells all. Suggested is ``exclude`` for all but the first copy in a
    split, and for training images that are, or nearly are, validation or test images too; never
    for a test image, and never where labels conflict: there a person has to decide.
    """
    picture = _number_pictures(table)
    everything = table[["path", "label", "split", "hash"]].assign(picture=picture)
    used = everything[picture >= 0]
    copies = used.assign(group=used["picture"], item=used.index)
    copies = copies[copies.duplicated("picture", keep=False)]
    rank = copies["split"].map(RANKS)
    again = copies.duplicated(["group", "split"]) & (rank < 2)
    differ = copies.groupby("group")["hash"].transform("nunique") > 1
    words = np.where(differ, "same pixels as", "same bytes as")

    group = group_twins(table, pairs)
    alike = used.assign(group=group[used.index], item=used["picture"])
    scenes, kinds = _scenes(alike)
    # In a scene those of one class are each other's twins.
    alike["group"] = alike["group"] + len(table) * kinds
    alike = alike[alike.groupby("group")["item"].transform("nunique") > 1]
    nearly = np.full(len(alike), "nearly the same as")
    return pd.concat(
        [
            _report("duplicate", copies, words, again.to_numpy()),
            _report("near-duplicate", alike, nearly, np.zeros(len(alike), bool)),
            scenes,
        ]
    )


def _scenes(alike: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Findings about groups with many pictures of several classes; 0, or there the class's number.

    ``alike`` has a row a file with its ``group``, ``item`` (its picture), ``label`` and ``path``.
    """
    counts = alike.drop_duplicates(["group", "item"]).groupby(["group", "label"]).size()
    many = counts[counts >= SCENE].reset_index("label").groupby("group")["label"].agg(sorted)
    many = many[many.map(len) > 1]
    rows = [alike[alike["group"] == group] for group in many.index]
    details = [
        f"{len(each):,} pictures of {', '.join(map(repr, labels[:5]))} look nearly the same"
        for each, labels in zip(rows, many, strict=True)
    ]
    found = make_findings(
        "one scene",
        [each["path"].iloc[0] for each in rows],
        details,
        [tuple(each["path"].iloc[1 : MOST_RELATED + 1]) for each in rows],
    )
    numbers = pd.factorize(alike["label"])[0] + 1
    return found, np.where(alike["group"].isin(many.index), numbers, 0)


def _report(kind: str, rows: pd.DataFrame, words: np.ndarray, again: np.ndarray) -> pd.DataFrame:
    """Put groups in words; different items of a group are each other's twins."""
    if rows.empty:
        return make_findings("", [], [])
    codes = pd.factorize(rows["group"])[0]
    labels, splits = (_different(codes, rows[name]) for name in ("label", "split"))
    # Of large groups a few are named: first one of each label and split.
    items = rows.drop_duplicates(["group", "item"])
    turn = items.groupby(["group", "label", "split"]).cumcount()
    items = items.assign(turn=turn).sort_values(["group", "turn"], kind="stable")
    sizes = items["group"].value_counts()
    few = items.groupby("group", sort=False).head(MOST_RELATED + 1)
    named: dict[int, list[tuple[int, str, tuple[str, str]]]] = {}
    for number, item, path, label, split in few[
        ["group", "item", "path", "label", "split"]
    ].itertuples(index=False):
        named.setdefault(number, []).append((item, path, (label, split)))
    problems, details, related = [], [], []
    own = zip(rows["label"], rows["split"], strict=True)
    for code, number, item, count, same, place in zip(
        codes, rows["group"], rows["item"], rows["group"].map(sizes) - 1, words, own, strict=True
    ):
        twins = [twin for twin in named[number] if twin[0] != item]
        twins.sort(key=lambda twin: twin[2] == place)  # what differs comes first
        others = tuple(path for _, path, _ in twins[:MOST_RELATED])
        problem = f"{kind} across splits" if len(splits[code]) > 1 else kind
        text = f"{same} {', '.join(others[:NAMED])}"
        text += f" and {count - NAMED:,} more" if count > NAMED else ""
        if len(labels[code]) > 1:
            problem = f"{kind} with conflicting labels"
            text += f"; labels {', '.join(labels[code][:5])}{', …' * (len(labels[code]) > 5)}"
        if len(splits[code]) > 1:
            text += f"; splits {', '.join(splits[code])}"
        problems.append(problem)
        details.append(text)
        related.append(others)
    rank = rows["split"].map(RANKS)
    leaves = rank < rank.groupby(rows["group"]).transform("max")
    conflict = np.array([len(labels[code]) > 1 for code in codes])
    action = np.where(~conflict & (leaves | again), "exclude", "keep")
    return make_findings(problems, rows["path"], details, related, action)


def _different(codes: np.ndarray, values: pd.Series) -> Sequence[list[str]]:
    """The different values of each group, sorted; groups are numbered from 0."""
    pairs = pd.DataFrame({"code": codes, "value": values.to_numpy()}).drop_duplicates()
    found: list[list[str]] = [[] for _ in range(codes.max() + 1)]
    for code, value in pairs.sort_values("value").itertuples(index=False):
        found[code].append(value)
    return found
