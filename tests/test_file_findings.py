"""Single files: rejected, remarked, and unlike the others; limits hold in both directions."""

import numpy as np
import pandas as pd

from imgclf_lib.file_findings import contrast, file_findings, robust_score

COUNT = 60


def table(**changes: dict[int, object]) -> pd.DataFrame:
    """Sixty usual images; ``width={3: 900}`` changes a cell."""
    generator = np.random.default_rng(0)
    files = pd.DataFrame(
        {
            "path": [f"cat/{number:02}.jpg" for number in range(COUNT)],
            "width": generator.integers(180, 220, COUNT),
            "height": generator.integers(150, 180, COUNT),
            "brightness": generator.normal(110, 25, COUNT),
            "sharpness": 10 ** generator.normal(3, 0.25, COUNT),
            "problem": "",
            "detail": "",
        }
    )
    for name, values in changes.items():
        files.loc[list(values), name] = list(values.values())
    return files


def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (COUNT, 16, 16, 3), "uint8")


def found(files: pd.DataFrame, images: np.ndarray | None = None, padded=True) -> dict:
    images = pictures() if images is None else images
    rows = file_findings(files, images, np.arange(len(files)), padded)
    return {(row.problem, int(row.path[4:6])): row for row in rows.itertuples()}


def test_a_good_folder_gives_nothing():
    assert found(table()) == {}


def test_every_rejected_file_has_its_reason():
    said = found(
        table(
            problem={1: "damaged", 2: "hidden", 3: "excluded", 4: "repeated"},
            detail={1: "broken data stream"},
        )
    )
    assert {key: row.action for key, row in said.items()} == {
        ("damaged", 1): "exclude",
        ("hidden", 2): "",
        ("excluded", 3): "exclude",
        ("repeated", 4): "",
    }
    assert said["damaged", 1].detail == "broken data stream"
    assert said["damaged", 1].severity == "error"


def test_remarks_are_mild_and_several_are_told_apart():
    said = found(
        table(
            detail={
                1: "content is GIF, the name has no ending; animation of 3: the first is used",
                2: "the colour profile is damaged",
            }
        )
    )
    assert set(said) == {("wrong extension", 1), ("animation", 1), ("note", 2)}
    assert {row.severity for row in said.values()} == {"remark"}
    assert said["animation", 1].detail == "animation of 3: the first is used"


def test_odd_sizes_and_shapes():
    said = found(table(width={1: 1800, 2: 20, 3: 900}, height={1: 1500, 2: 18, 3: 60}))
    assert set(said) == {("odd size", 1), ("odd size", 2), ("odd shape", 3)}
    assert "1800 × 1500 pixels" in said["odd size", 1].detail
    same = table().assign(width=32, height=32)
    same.loc[5, ["width", "height"]] = [40, 32]  # differs, but not by much
    same.loc[6, ["width", "height"]] = [320, 320]
    assert set(found(same)) == {("odd size", 6)}


def test_dark_and_bright_need_both_limits():
    said = found(table(brightness={1: 3.0, 2: 252.0, 3: 30.0}))
    assert set(said) == {("very dark", 1), ("very bright", 2)}
    assert "mean grey 3 of 255" in said["very dark", 1].detail
    night = table().assign(brightness=np.random.default_rng(0).uniform(1, 12, COUNT))
    assert found(night) == {}


def test_blurred_is_little_detail_for_so_much_contrast():
    images = pictures()  # noise: a standard deviation of about 43 in grey
    images[5] = 100 + images[5] // 6  # little contrast, so little detail is no blur
    said = found(table(sharpness={4: 60.0, 5: 60.0, 6: 150.0}), images)
    assert set(said) == {("blurred", 4)}
    smooth = table().assign(sharpness=np.random.default_rng(0).uniform(5, 60, COUNT))
    assert found(smooth) == {}


def test_a_constant_image_is_not_called_blurred_and_padding_does_not_hide_it():
    images = pictures()
    images[7] = 90
    images[8] = 255
    images[8, 4:12] = 3  # twice as wide as high, padded with white
    changes = {"width": {8: 320}, "height": {8: 160}, "sharpness": {7: 0.0, 8: 0.0}}
    said = found(table(**changes), images)
    assert set(said) == {("nearly constant", 7), ("nearly constant", 8)}
    said = found(table(**changes), images, padded=False)
    assert set(said) == {("nearly constant", 7), ("blurred", 8)}


def test_contrast_against_numpy():
    images = pictures()[:9]
    for shape, part in ((1, images), (2, images[:, 5:11]), (0.5, images[:, :, 5:11])):
        expected = part[:, 1:-1, :] if shape == 1 else part
        expected = expected[:, :, 1:-1] if shape == 1 else expected
        got = contrast(images, np.arange(9), np.full(9, float(shape)))
        inside = expected.mean(-1)
        if shape == 2:
            inside = inside[:, :, 1:-1]
        if shape == 0.5:
            inside = inside[:, 1:-1]
        np.testing.assert_allclose(got, inside.std((1, 2)))
    assert len(contrast(images, np.arange(0), np.ones(0))) == 0


def test_robust_score():
    values = np.array([1.0, 2, 3, 4, 5, 6, 7, 1000, np.nan])
    score = robust_score(values)
    assert score[8] == 0
    assert score[7] == (1000 - 4.5) / (1.4826 * 2)
    assert (robust_score(values[:5]) == 0).all()  # too few to say what is usual
    equal = np.array([5.0] * 8 + [6])
    assert robust_score(equal).tolist() == [0.0] * 8 + [np.inf]


def test_no_file_and_no_usable_file():
    files = table()
    assert found(files.iloc[:0].reset_index(drop=True)) == {}
    broken = files.assign(problem="empty", width=0, height=0, brightness=np.nan, sharpness=np.nan)
    rows = file_findings(broken, np.zeros((0, 16, 16, 1), "uint8"), np.full(COUNT, -1))
    assert (rows["problem"] == "empty").all()
    assert len(rows) == COUNT
