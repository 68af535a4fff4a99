"""The commands that work with the whole course: run it, open it, list its exercises.

What is needed is imported when it is needed, so that help and wrong words are answered at once.
"""

import json as json_module
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgclf_lib.words import parse_value, parse_words, print_json


def run(words: Sequence[str]) -> int:
    """Run the course's notebooks without a browser, and write a report.

    Each notebook runs in a fresh kernel. The report is OUT/index.html; OUT also holds the
    executed notebooks, their HTML pages and results.csv.

    examples:
      imgclf run
      imgclf run 04_train 05_evaluate --profile full
      imgclf run --data path/to/photos -p epochs 10 --out runs/photos
      imgclf run --data path/to/photos --fixes fixes.csv --group "([^/_]+)_"
    """
    from typing import Annotated, Literal

    import tyro

    def parse(
        notebooks: tyro.conf.Positional[tuple[str, ...]] = (),
        data: Annotated[
            str, tyro.conf.arg(help="known data set, or a folder, list or archive of images")
        ] = "",
        fixes: Annotated[
            Path | None, tyro.conf.arg(help="corrections, from imgclf audit --fix-list")
        ] = None,
        group: Annotated[
            str, tyro.conf.arg(help="pattern for file names: equal parts stay in one split")
        ] = "",
        profile: Literal["quick", "full"] = "quick",
        parameters: Annotated[
            tyro.conf.UseAppendAction[tuple[tuple[str, str], ...]],
            tyro.conf.arg(
                aliases=["-p"], help="name and value of a notebook parameter", metavar="NAME VALUE"
            ),
        ] = (),
        out: Annotated[Path | None, tyro.conf.arg(help="report folder; default runs/TIME")] = None,
        cell_timeout: Annotated[int, tyro.conf.arg(help="seconds one cell may take")] = 1800,
        json: Annotated[bool, tyro.conf.arg(help="print the results as JSON")] = False,
    ) -> dict[str, Any]:
        return dict(locals())

    given = parse_words("run", parse, words, run.__doc__)
    import time

    from imgclf_lib.paths import course_folder
    from imgclf_lib.suite import run_notebooks

    out = given["out"] or course_folder() / "runs" / time.strftime("%Y-%m-%d_%H-%M-%S")
    parameters = {name: parse_value(value) for name, value in given["parameters"]}
    parameters |= {name: str(given[name]) for name in ("fixes", "group") if given[name]}
    results = run_notebooks(
        given["notebooks"],
        out,
        given["data"],
        given["profile"],
        parameters,
        given["cell_timeout"],
    )
    if given["json"]:
        print_json(json_module.loads(results.to_json(orient="records")))
    else:
        print(f"The report is in {out / 'index.html'}")
    return 0


def lab(words: Sequence[str]) -> int:
    """Open the course in JupyterLab, on this machine only, protected by a token.

    examples:
      imgclf lab
      imgclf lab --no-browser --port 9000
    """
    from typing import Annotated

    import tyro

    def parse(
        browser: Annotated[bool, tyro.conf.arg(help="open a web browser")] = True,
        port: Annotated[int, tyro.conf.arg(help="first port to try")] = 8888,
    ) -> tuple[bool, int]:
        return browser, port

    browser, port = parse_words("lab", parse, words, lab.__doc__, pairs=True)
    from imgclf_lib.lab import open_lab

    return open_lab(browser, port)


def exercises(words: Sequence[str]) -> int:
    """List the exercises of the course, with the points that each of them tests.

    With --out, write a copy of the notebooks instead: --solutions keep fills every answer in,
    for the instructor; --solutions strip removes the lines that show the solutions, for a class.

    examples:
      imgclf exercises
      imgclf exercises 04_train --json
      imgclf exercises --out for_class --solutions strip
    """
    from typing import Annotated, Literal

    import tyro

    def parse(
        notebooks: tyro.conf.Positional[tuple[str, ...]] = (),
        out: Annotated[Path | None, tyro.conf.arg(help="new folder for copies")] = None,
        solutions: Literal["strip", "keep"] = "strip",
        json: Annotated[bool, tyro.conf.arg(help="print the list as JSON")] = False,
    ) -> tuple[tuple[str, ...], Path | None, str, bool]:
        return notebooks, out, solutions, json

    names, out, solutions, as_json = parse_words("exercises", parse, words, exercises.__doc__)
    from imgclf_lib.exercises.exercise import exercise_table, write_copies
    from imgclf_lib.suite import find_notebooks

    paths = find_notebooks(names)
    if out is not None:
        copies = write_copies(paths, out, solutions)
        print(f"{len(copies)} notebooks are in {out}", file=sys.stderr)
    table = exercise_table(paths)
    if as_json:
        print_json(table.to_dict("records"))
        return 0
    for notebook, rows in table.groupby("notebook", sort=False):
        print(notebook)
        for name, title, tests in rows[["exercise", "title", "tests"]].itertuples(index=False):
            print(f"  {name}: {title}")
            print(*(f"      tests {point}" for point in tests), sep="\n")
    return 0
