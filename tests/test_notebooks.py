"""The course as it is committed: how it is made, that it runs, and what it reaches."""

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from imgclf_lib.course.exercises import write_copies
from imgclf_lib.course.exercises.exercise import exercises_of
from imgclf_lib.experiment import Experiment

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ORDER = [
    *("00_start_here", "01_explore_data", "02_preprocess", "03_build_model"),
    *("04_train", "05_evaluate", "06_predict", "07_tune"),
    *("08_your_own_images", "09_transfer_learning", "10_go_fast"),
]
# What the quick profile reaches on Fashion-MNIST. Bands, not digits: backends, processors and
# versions differ a little; a broken course differs a lot.
BANDS = {
    ("01_explore_data", "baseline_nearest"): (0.80, 0.86),
    ("01_explore_data", "baseline_linear"): (0.80, 0.86),
    ("03_build_model", "parameters"): (421_642, 421_642),
    ("04_train", "val_accuracy"): (0.86, 0.92),
    ("05_evaluate", "test_accuracy"): (0.85, 0.92),
    ("07_tune", "val_accuracy"): (0.75, 0.87),
    ("07_tune", "fresh_accuracy"): (0.73, 0.87),
    # What a machine can write (links, pipes, locked files) decides how many files there are.
    ("08_your_own_images", "files"): (776, 786),
    ("08_your_own_images", "rejected"): (10, 16),
    ("08_your_own_images", "leaked"): (45, 65),
    ("08_your_own_images", "balanced_accuracy"): (0.6, 0.85),
    ("09_transfer_learning", "frozen_few"): (0.67, 0.84),
    ("09_transfer_learning", "scratch_few"): (0.64, 0.82),
    ("09_transfer_learning", "frozen_all"): (0.74, 0.86),
    ("09_transfer_learning", "scratch_all"): (0.75, 0.88),
    ("09_transfer_learning", "tuned_all"): (0.73, 0.87),
    ("10_go_fast", "classic"): (0.79, 0.85),
    ("10_go_fast", "ladder"): (0.84, 0.89),
}


def cells(path: Path, kind: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == kind]


def text_of(cell: nbformat.NotebookNode) -> str:
    """All text that a cell put out: what it printed, and what it showed as text."""
    texts = (
        each.get("text") or each.get("data", {}).get("text/plain", "") for each in cell.outputs
    )
    return "".join(texts)


def test_the_course_is_complete_and_in_order() -> None:
    assert [path.stem for path in NOTEBOOKS] == ORDER


def test_pictures_are_stored_once() -> None:
    pictures = {"text/html": "<img>", "image/png": "", "text/plain": "A line."}
    box = {"text/html": "<p>Right.</p>", "text/plain": "Right."}
    outputs = [new_output("display_data", dict(each)) for each in (pictures, box)]
    stored = runpy.run_path(str(ROOT / "docs" / "refresh.py"))["clean"](
        new_notebook(cells=[new_code_cell(outputs=outputs)])
    )
    data = [output.data for output in stored.cells[0].outputs]
    assert data == [{"image/png": "", "text/plain": "A line."}, box]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestForm:
    def test_is_stored_as_a_clean_headless_run(self, path: Path) -> None:
        code = cells(path, "code")
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
        outputs = [output for cell in code for output in cell.outputs]
        assert not [each for each in outputs if each.output_type == "error"]
        assert not [each for each in outputs if each.get("name") == "stderr"]
        text = path.read_text(encoding="utf-8")
        assert path.stat().st_size < 500_000
        assert not re.search(r"/(home|root|work|tmp|Users)/|C:\\\\", text)
        assert "Warning" not in json.dumps(outputs)

    def test_cells_are_short_and_prose_stands_between(self, path: Path) -> None:
        kinds = [cell.cell_type for cell in nbformat.read(path, 4).cells]
        assert "code code code" not in " ".join(kinds)
        assert kinds[0] == kinds[-1] == "markdown"
        lessons = [cell.source for cell in cells(path, "code") if "# What this" not in cell.source]
        assert len(lessons) == len(cells(path, "code")) - 1, "one cell of imports"
        assert max(len(source.splitlines()) for source in lessons) <= 20

    def test_parameters_are_literals_with_known_names(self, path: Path) -> None:
        tagged = [
            cell for cell in cells(path, "code") if "parameters" in cell.metadata.get("tags", [])
        ]
        assert len(tagged) == 1
        known = {each.name for each in fields(Experiment)}
        for name, found in papermill.inspect_notebook(path).items():
            json.loads(str(found["default"]).replace("'", '"').replace("_", ""))
            assert name in known or found["help"], f"{name} is no Experiment field and has no help"

    def test_opens_with_aims_and_closes_with_the_same(self, path: Path) -> None:
        prose = [cell.source for cell in cells(path, "markdown")]
        assert prose[0].startswith(f"# {path.stem[:2]} ")
        assert "You will be able to" in prose[0]
        assert re.search("two (slow )?cores", prose[0] + prose[1])

    def test_pictures_have_alternative_text(self, path: Path) -> None:
        for cell in cells(path, "code"):
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    assert len(output.metadata["image/png"]["alt"]) > 20
                    assert "text/html" not in output.data, "GitHub would show no picture"

    def test_links_lead_somewhere(self, path: Path) -> None:
        for cell in cells(path, "markdown"):
            for target in re.findall(r"\]\(([^)#]+\.ipynb)", cell.source):
                assert (path.parent / target).is_file(), target

    def test_uses_no_mathjax_no_installs_and_no_tensorflow(self, path: Path) -> None:
        code = "\n".join(cell.source for cell in cells(path, "code"))
        assert not re.search(r"^\s*[!%]|sys\.path|import tensorflow|except:", code, re.M)
        assert "$" not in "\n".join(cell.source for cell in cells(path, "markdown"))

    def test_live_widgets_have_a_static_twin_and_cannot_stall(self, path: Path) -> None:
        notebook = nbformat.read(path, 4)
        code = "\n".join(cell.source for cell in cells(path, "code"))
        assert not re.search(r"\binteract|Output\(|\.observe\(|ipywidgets", code)
        assert "widgets" not in notebook.metadata
        live = [
            number
            for number, cell in enumerate(notebook.cells)
            if "(Live in JupyterLab: " in json.dumps(cell.get("outputs", []))
        ]
        assert bool(live) == (path.stem != "00_start_here"), "one widget in each lesson"
        for number in live:
            data = [output.data for output in notebook.cells[number].outputs]
            assert not [each for each in data if "application/vnd.jupyter.widget-view+json" in each]
            after = notebook.cells[number + 1 : number + 4]
            assert "image/png" in json.dumps([cell.get("outputs", []) for cell in after])

    def test_only_evaluation_opens_the_test_split(self, path: Path) -> None:
        code = "\n".join(cell.source for cell in cells(path, "code"))
        opened = re.search(r"\.test\b|evaluate\(|\"test\"\)", code)
        assert bool(opened) == (path.stem == "05_evaluate")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The whole course, run headless with no trained model there, last notebook first.

    Backwards, so that no notebook can lean on what an earlier one left behind. It is the
    instructor's copy, in which every exercise is answered; nbval and the test of thirty images run
    the learner's.
    """
    place = tmp_path_factory.mktemp("course")
    environment = {**os.environ, "IMGCLF_MODELS": str(place / "models")}
    copies = write_copies(NOTEBOOKS[::-1], place / "copies", "keep")
    words = ["run", *map(str, copies), "--out", str(place / "report")]
    done = subprocess.run(
        [sys.executable, "-m", "imgclf_lib", *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return place / "report", environment


@pytest.mark.course
class TestCourse:
    def test_every_notebook_runs_alone(self, course: tuple[Path, dict[str, str]]) -> None:
        results = pd.read_csv(course[0] / "results.csv")
        assert results["status"].eq("passed").all()
        print(results.to_string())
        assert len(results) == len(ORDER)

    def test_accuracies_lie_in_their_bands(self, course: tuple[Path, dict[str, str]]) -> None:
        results = pd.read_csv(course[0] / "results.csv").set_index("notebook")
        for (notebook, name), (low, high) in BANDS.items():
            assert low <= results.loc[notebook, name] <= high, (notebook, name)

    def test_every_notebook_has_a_headline_and_a_picture(
        self, course: tuple[Path, dict[str, str]]
    ) -> None:
        index = (course[0] / "index.html").read_text()
        assert index.partition('<ol class="cards">')[2].count("<img ") == len(ORDER)
        for part in ("short", "data", "result"):
            assert f'<h2 id="{part}">' in index
        for name in ORDER:
            notebook = nbformat.read(course[0] / "notebooks" / f"{name}.ipynb", 4)
            assert "imgclf.headline" in json.dumps(notebook)

    def test_the_report_looks_good_and_fetches_nothing(
        self,
        course: tuple[Path, dict[str, str]],
        browser: Any,
        shots: Path,
        accessible: Callable[..., None],
    ) -> None:
        page = browser.new_page()
        page.set_viewport_size({"width": 1200, "height": 800})
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((course[0] / "index.html").as_uri())
        assert page.locator("li.passed").count() == len(ORDER)
        page.screenshot(path=shots / "report.png", full_page=True)
        accessible(page)
        for name in ORDER:
            page.goto((course[0] / "html" / f"{name}.html").as_uri())
            page.get_by_role("heading", level=1).first.wait_for()
            accessible(page, without=".highlight")  # code takes long: tests/course/test_report.py
        page.close()
        assert {address.partition(":")[0] for address in asked} <= {"file", "data"}
        assert complaints == []

    def test_every_solution_is_right_in_its_notebook(
        self, course: tuple[Path, dict[str, str]]
    ) -> None:
        for name in ORDER:
            said = [
                output.data["text/plain"]
                for cell in cells(course[0] / "notebooks" / f"{name}.ipynb", "code")
                if "exercise" in cell.metadata.get("tags", [])
                for output in cell.outputs
                if "data" in output
            ]
            progress = ("Your network was trained for", "Runs ready: ")
            verdicts = [each[:8] for each in said if not each.startswith(progress)]
            assert verdicts == ["✓ Right."] * len(exercises_of(name))

    def test_stored_outputs_are_still_true(self, course: tuple[Path, dict[str, str]]) -> None:
        """What this run says in the cells that always say the same is what is stored.

        Cells of exercises are left out: here they are answered.
        """
        compared = 0
        for path in NOTEBOOKS:
            ran = {
                cell.id: text_of(cell)
                for cell in cells(course[0] / "notebooks" / path.name, "code")
            }
            for cell in cells(path, "code"):
                tags = cell.metadata.get("tags", [])
                if "nbval-check-output" in tags and "exercise" not in tags:
                    assert ran[cell.id] == text_of(cell), f"{path.stem}: {cell.source}"
                    compared += 1
        assert compared >= 20

    def test_nbval_agrees(self, course: tuple[Path, dict[str, str]]) -> None:
        """As a learner opens them, without answers; those that train little, to save time."""
        chosen = [path for path in NOTEBOOKS if path.stem[:2] in ("00", "01", "03", "05", "06")]
        command = [
            *(sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cell-timeout", "600"),
            *("-p", "no:cacheprovider", "-q", "-W", "ignore", *map(str, chosen)),
        ]
        done = subprocess.run(
            command, env=course[1], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-8000:]
