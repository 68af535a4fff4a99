"""Where the time of the course goes: seconds of each notebook, and its most costly cells.

Usage: python bench/course.py [--notebooks 04 07] [--report runs/latest] [--cells 2]

Runs the course headless as ``imgclf run`` does, with no trained model there, into a folder that is
deleted afterwards; or reads the report of a run that was made before. Start-up is what a notebook
takes outside its cells: the kernel, and papermill.

Writes bench/results/course.csv, and prints it.
"""

import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import nbformat
import pandas as pd
import tyro

RESULTS = Path(__file__).parent / "results"


@dataclass
class Arguments:
    notebooks: tuple[str, ...] = ()
    """which ones, such as 04; the whole course if empty"""
    report: Path | None = None
    """the folder of a run that was made before"""
    cells: int = 2
    """how many cells of each notebook to name"""


def main() -> None:
    given = tyro.cli(Arguments, description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        report = given.report or Path(folder) / "report"
        if not given.report:
            command = [sys.executable, "-m", "imgclf_lib", "run", *given.notebooks]
            environment = {**os.environ, "IMGCLF_MODELS": str(Path(folder) / "models")}
            subprocess.run([*command, "--out", str(report)], check=True, env=environment)
        table = profile(report, given.cells)
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "course.csv", index=False)
    packages = ", ".join(f"{name} {version(name)}" for name in ("keras", "papermill"))
    print(f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform()}, {packages}")
    print(table.to_string(index=False, max_colwidth=60))
    print(f"in all {table.drop_duplicates('notebook')['seconds'].sum():.0f} s")


def profile(report: Path, count: int) -> pd.DataFrame:
    """The costly cells of a report, with the seconds of their notebooks.

    Args:
        report: A folder that ``imgclf run`` wrote.
        count: How many cells of each notebook.

    Returns:
        A row a cell: ``notebook``, ``seconds`` (in all), ``start_up``, ``cell`` (number among the
        code cells), ``cell_seconds`` and ``begins`` (its first line that is no import).
    """
    rows = []
    for _, result in pd.read_csv(report / "results.csv").iterrows():
        notebook = nbformat.read(report / "notebooks" / f"{result['notebook']}.ipynb", 4)
        every = [
            (cell.metadata.get("papermill", {}).get("duration") or 0.0, number, cell)
            for number, cell in enumerate(
                (cell for cell in notebook.cells if cell.cell_type == "code"), 1
            )
        ]
        inside = sum(seconds for seconds, _, _ in every)
        for seconds, number, cell in sorted(every, key=lambda one: -one[0])[:count]:
            rows.append(
                {
                    "notebook": result["notebook"],
                    "seconds": result["seconds"],
                    "start_up": round(result["seconds"] - inside, 1),
                    "cell": number,
                    "cell_seconds": round(seconds, 1),
                    "begins": begin(cell.source),
                }
            )
    return pd.DataFrame(rows)


def begin(source: str) -> str:
    """The first line of a cell that is no import, or its first line."""
    lines = source.splitlines()
    return next((each for each in lines if each and "import " not in each), source[:60])


if __name__ == "__main__":
    main()
