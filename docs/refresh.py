"""Execute notebooks in place, so that their stored outputs are those of a headless run.

No trained model is there when it begins, as for a learner who opens the course the first time.

Usage: python docs/refresh.py [NOTEBOOK ...]     (all of the course by default)
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
import papermill

from imgclf_lib.course import course_notebooks

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove what differs from run to run, and what names this machine."""
    kept = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    if "imgclf" in notebook.metadata:
        kept["imgclf"] = notebook.metadata["imgclf"]
    notebook.metadata = nbformat.from_dict(kept)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if cell.cell_type == "code":
            told = [each for each in cell.outputs if each.get("name") == "stderr"]
            if any("Warning" in each.text for each in told):
                raise ValueError(f"cell {number} warns: {told[0].text[:500]}")
            # What is told beside the lesson names folders of this machine.
            cell.outputs = joined([each for each in cell.outputs if each not in told])
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    output.data.pop("text/html", None)  # the same picture, which GitHub cannot show
    return notebook


def joined(outputs: list) -> list:
    """Neighbouring pieces of the same stream as one output."""
    result: list = []
    for output in outputs:
        same = result and output.output_type == result[-1].output_type == "stream"
        if same and output.name == result[-1].name:
            result[-1].text += output.text
        else:
            result.append(output)
    return result


def refresh(path: Path) -> None:
    """Execute one notebook and store it with its outputs; a failing one stays as it was."""
    with tempfile.TemporaryDirectory() as scratch:
        executed = papermill.execute_notebook(
            path,
            Path(scratch) / path.name,
            engine_name="imgclf",
            cwd=str(path.resolve().parent),
            progress_bar=sys.stderr.isatty(),
        )
    nbformat.write(clean(executed), path)
    print(path, f"{path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as models:
        os.environ["IMGCLF_MODELS"] = models  # the kernels inherit it
        for each in map(Path, sys.argv[1:]) if sys.argv[1:] else course_notebooks():
            refresh(each)
