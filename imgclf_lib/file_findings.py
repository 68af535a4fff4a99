"""What can be wrong with a single file: rejected, or unlike the others in what was measured."""

import numpy as np
import pandas as pd

from imgclf_lib.findings import make_findings

# A value is odd if it is far from the others and also beyond a limit of its own: a folder in
# which all images are alike, or all are different, gives few findings.
FAR = 3.5  # robust z-score (Iglewicz and Hoaglin 1993)
TIMES_SIZE = 3.0  # as long or as short as the middle image, in mean side length
TIMES_SHAPE = 2.5  # as flat or as tall as the middle image
DARK, BRIGHT = 12.0, 243.0  # mean grey, 0 to 255
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
PIECE = 2_000_000  # pixels held as floats at a time


def file_findings(
    table: pd.DataFrame, images: np.ndarray, places: np.ndarray, padded: bool = True
) -> pd.DataFrame:
    """Findings about single files.

    Args:
        table: A row a file, with the columns of ``catalog.COLUMNS``.
        images: ``uint8`` array of shape ``(m, size, size, channels)``.
        places: ``int64`` array of shape ``(n,)``: for each row its place in ``images``, or -1.
        padded: Whether images that are not square have borders.

    Returns:
        A table as from ``findings.make_findings``.
    """
    used = table[table["problem"] == ""]
    return pd.concat([_rejected(table), _remarks(used), *_odd(used, images, places, padded)])


def robust_score(values: np.ndarray) -> np.ndarray:
    """How far each value is from the middle, in robust standard deviations.

    Args:
        values: ``float64`` array of shape ``(n,)``; NaN is unknown.

    Returns:
        ``float64`` array: the distance from the median, divided by 1.4826 times the median
        absolute deviation. 0 for unknown values and for fewer than 8 known ones; infinite for
        what differs where at least half of the values are equal.
    """
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
        [detail.str.contains("the first is used"), detail.str.contains("content is")],
        ["animation", "wrong extension"],
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
    deviation[rows] = contrast(images, where, shape[rows] if padded else np.ones(len(rows)))
    constant = deviation < CONSTANT
    checks = {
        "odd size": _beyond(np.log(side), np.log(TIMES_SIZE)),
        "odd shape": _beyond(np.log(shape), np.log(TIMES_SHAPE)),
        "very dark": (light < DARK) & (robust_score(light) < -UNUSUAL),
        "very bright": (light > BRIGHT) & (robust_score(light) > UNUSUAL),
        "nearly constant": constant,
        "blurred": (sharp < DETAIL * deviation**2) & (robust_score(smooth) < -FAR) & ~constant,
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


def _beyond(values: np.ndarray, limit: float) -> np.ndarray:
    """Where values are far from the others, and at least so far from their middle."""
    if not len(values):
        return np.zeros(0, bool)
    return (np.abs(robust_score(values)) > FAR) & (np.abs(values - np.median(values)) >= limit)


def contrast(images: np.ndarray, places: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Standard deviation of the grey values of some images, without their padding.

    Args:
        images: ``uint8`` array of shape ``(m, size, size, channels)``.
        places: Integer array of shape ``(k,)``: which images.
        shape: ``float64`` array of shape ``(k,)``: width divided by height in the file.

    Returns:
        ``float64`` array of shape ``(k,)``, 0 to 127.5.
    """
    size = images.shape[1]
    away = np.abs(np.arange(size) + 0.5 - size / 2)
    found = [np.empty(0)]
    step = max(1, PIECE // size**2)
    for start in range(0, len(places), step):
        some = slice(start, start + step)
        grey = images[places[some]].mean(-1)
        # One pixel less on each side: there the border mixes with the image.
        high = (size / 2 / shape[some].clip(1) - 1).clip(0.5)
        wide = (size / 2 * shape[some].clip(None, 1) - 1).clip(0.5)
        inside = (away <= high[:, None])[:, :, None] & (away <= wide[:, None])[:, None, :]
        found.append(grey.std((1, 2), where=inside))
    return np.concatenate(found)
