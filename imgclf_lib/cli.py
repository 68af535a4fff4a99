"""``imgclf``: the commands, each a function; errors become one message and an exit code.

A command's signature is its command line: what stands before the slash has no flag, and the
docstring is the help. What a command needs is imported when it is needed, the parser too, so that
``imgclf --help`` answers at once; therefore annotations are texts here, read by the parser alone.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from json import dumps, loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from imgclf_lib.errors import ImgclfError, InputError, explain, printable, tell
from imgclf_lib.experiment import PRESETS, Experiment, preset

if TYPE_CHECKING:
    import tyro

    from imgclf_lib.training import Run

NARROWEST = 20  # columns; the parser breaks lines without an end where a word finds no room
STATUS = {  # in metrics.json; there is none before the end
    "": "goes on, or was killed",
    "interrupted": "was interrupted",
    "failed": "failed, its loss became not a number",
}
SMALL = 64  # height and width, in pixels, for which the preset fast is made


def doctor(json: bool = False) -> int:
    """Check this machine: packages, backend, accelerator, data, disk.

    One line for each thing, and what to do about it if it is not good; then the exit code is 1.

    example:
      imgclf doctor

    Args:
        json: print the checks as JSON
    """
    from imgclf_lib.course import examine

    checks = examine()
    if json:
        _print_json([check._asdict() for check in checks])
    else:
        for check in checks:
            print(f"{'ok ' if check.good else 'FIX'}  {check.name:12} {check.found}")
            if not check.good:
                print(f"     {'':12} {check.do}")
    return 0 if all(check.good for check in checks) else 1


def audit(
    data: Annotated[str, tyro.conf.arg(metavar="DATA")],
    /,
    strict: bool = False,
    fix_list: Path | None = None,
    label_errors: bool = False,
    leakage: bool = False,
    backbone: str = "",
    image_size: Annotated[int, _field("image_size")] = 0,
    fixes: Annotated[str, _field("fixes")] = "",
    group: Annotated[str, _field("group")] = "",
    class_folders: Annotated[str, _field("class_folders")] = "top",
    json: bool = False,
) -> int:
    """Say what is wrong with a folder of images, and list fixes to edit.

    The folder is never changed. DATA is a folder, a CSV or Parquet list, a zip or tar archive, or
    a known name. Every file is accepted or rejected with its reason. Findings have three
    severities: error, warning, remark. The exit code is 0; with --strict it is 1 if there is any
    error or warning.

    examples:
      imgclf audit path/to/photos
      imgclf audit path/to/photos --fix_list fixes.csv
      imgclf audit path/to/photos --fixes fixes.csv --strict --json
      imgclf audit path/to/photos --label_errors --backbone efficientnet_lite0

    Args:
        data: folder, list or archive of images, or a known name
        strict: exit with 1 on errors and warnings
        fix_list: write a CSV to edit, and to use with --fixes
        label_errors: look for wrong labels; trains networks, minutes
        leakage: measure what images in two splits do to the score
        backbone: network whose features label_errors compares; finds far more
        json: print the findings as JSON
    """
    from imgclf_lib.audit import audit as audit_data
    from imgclf_lib.audit import audit_json, audit_lines, suggest_fixes
    from imgclf_lib.data import write_fixes

    experiment = Experiment(
        data=data,
        image_size=image_size,
        fixes=fixes,
        group=group,
        class_folders=class_folders,  # type: ignore[arg-type]
        backbone=backbone,
    )
    if fix_list is not None and fix_list.exists():
        raise InputError(  # before the work; written is with the same care
            f"{str(fix_list)!r} is there already, and may hold your own decisions",
            do="Choose another name, or move it away",
        )
    found = audit_data(experiment, label_errors, leakage)
    if fix_list is not None:
        write_fixes(suggest_fixes(found), fix_list, Path(found.place))
        tell(f"The fix list is in {fix_list}")
    if json:
        _print_json(audit_json(found))
    else:
        _print_lines(audit_lines(found))
    bad = found.findings["severity"].isin(["error", "warning"]).any()
    return 1 if strict and bad else 0


def train(
    experiment: Annotated[Experiment, tyro.conf.arg(name="")],
    preset: Literal[tuple(PRESETS)] = "simple",  # type: ignore[valid-type]
    out: Path | None = None,
    resume: bool = False,
    json: bool = False,
) -> int:
    """Train one model into a run folder.

    A finished run of the same experiment on the same data is loaded, not trained again.

    examples:
      imgclf train --data fashion_mnist
      imgclf train --data path/to/photos --preset deep --epochs 20 --out models/photos
      imgclf train --data cifar10 --preset fast
      imgclf train --filters 16 32 64 --dense_units 64 --learning_rate 0.003

    Args:
        experiment: the preset's, changed by the flags
        preset: values to start from; the other flags change them
        out: run folder; chosen from the experiment if not given
        resume: continue an unfinished run
        json: print the figures as JSON
    """
    from imgclf_lib.training import train as train_experiment

    run = train_experiment(experiment, out, resume, progress="bar")
    _tell_chance(run, experiment)
    if json:
        _print_json({"run": str(run.folder), **run.metrics})
        return 0
    _print_lines([str(run.folder)])
    print(
        f"train accuracy {run.metrics['train_accuracy']:.3f}"
        f"   validation accuracy {run.metrics['val_accuracy']:.3f}"
        f"   {run.metrics['epochs_run']} epochs in {run.metrics['train_seconds']:.0f} s"
    )
    if preset == "simple" and max(run.environment["image_shape"][:2]) <= SMALL:
        tell(
            "These are small pictures: --preset fast may reach more in the same time. It mirrors"
            " images, so it is not for letters or digits."
        )
    return 0


def evaluate(
    run: Annotated[Path, tyro.conf.arg(metavar="RUN")],
    /,
    data: str = "",
    split: Literal["train", "val", "test"] = "test",
    json: bool = False,
) -> int:
    """Measure a trained run: on its test images, or on other data.

    Writes evaluation.json, predictions.csv and three pictures into the run folder. Other data is
    measured whole, or its own test folder if it has one.

    examples:
      imgclf evaluate models/photos
      imgclf evaluate models/photos --data path/to/other/photos --json

    Args:
        run: folder of a trained run
        data: other data than the run's own
        split: which of the images, where the data is divided
        json: print the figures as JSON
    """
    from imgclf_lib.evaluation import calibration_table
    from imgclf_lib.evaluation import evaluate as evaluate_run
    from imgclf_lib.plots import save_evaluation_figures
    from imgclf_lib.training import Run

    _tell_unfinished(Run(run))
    evaluation = evaluate_run(Run(run), data, split)
    metrics, images = evaluation.metrics, evaluation.split
    bins = calibration_table(evaluation.probabilities, images.labels)
    counts, names = metrics["confusion_matrix"], evaluation.class_names
    save_evaluation_figures(run, counts, names, bins, evaluation.predictions, images.images)
    if json:
        _print_json(metrics)
        return 0
    low, high = metrics["accuracy_ci95"]
    subject = metrics["split"] if not data else f"{metrics['data']} ({metrics['split']})"
    line = (
        f"{subject} accuracy {metrics['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f},"
        f" {metrics['n']:,} images)   loss {metrics['loss']:.4f}"
        f"   calibration error {metrics['calibration_error']:.4f}"
    )
    _print_lines([line])
    if metrics["absent_classes"]:
        tell(f"There are no images of: {', '.join(metrics['absent_classes'])}")
    return 0


def predict(
    run: Annotated[Path, tyro.conf.arg(metavar="RUN")],
    images: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="IMAGE [IMAGE ...]")],
    /,
    top: int = 3,
    json: bool = False,
) -> int:
    """Say what is on images: the most probable classes of each file.

    examples:
      imgclf predict models/photos cat.jpg
      imgclf predict models/photos new/ --top 1 --json

    Args:
        run: folder of a trained run
        images: files, or folders of them
        top: how many classes to name for each image
        json: print the predictions as JSON
    """
    from imgclf_lib.evaluation import predict_files
    from imgclf_lib.training import Run

    _tell_unfinished(Run(run))
    table, problems = predict_files(Run(run), images, top)
    if json:
        records = {"predictions": table, "problems": problems}
        _print_json({name: each.to_dict("records") for name, each in records.items()})
    else:
        for path, rows in table.groupby("path", sort=False):
            named = zip(rows["class"], rows["probability"], strict=True)
            shares = [f"{name} {probability:.3f}" for name, probability in named]
            _print_lines(["   ".join([str(path), *shares])])
    for path, problem in problems.itertuples(index=False):
        tell(f"{path}: cannot be decoded ({problem})")
    # What is no image by name and content may lie beside images.
    return 0 if problems["problem"].str.startswith("unknown extension").all() else 1


def run(
    notebooks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NOTEBOOK ...]")] = (),
    /,
    data: str = "",
    fixes: Path | None = None,
    group: str = "",
    profile: Literal["quick", "full"] = "quick",
    parameters: Annotated[
        tyro.conf.UseAppendAction[tuple[tuple[str, str], ...]],
        tyro.conf.arg(aliases=["-p"], metavar="NAME VALUE"),
    ] = (),
    out: Path | None = None,
    cell_timeout: int = 1800,
    resume: bool = False,
    json: bool = False,
) -> int:
    """Run the course's notebooks without a browser, and write a report.

    Each notebook runs in a fresh kernel. The report is OUT/index.html; OUT also holds the
    executed notebooks, their HTML pages and results.csv.

    examples:
      imgclf run
      imgclf run 04_train 05_evaluate --profile full
      imgclf run --data path/to/photos -p epochs 10 --out runs/photos
      imgclf run --data path/to/photos -p epochs 10 --out runs/photos --resume
      imgclf run --data path/to/photos --fixes fixes.csv --group "([^/_]+)_"

    Args:
        notebooks: numbers, names or paths; all of the course if none is given
        data: known data set, or a folder, list or archive of images
        fixes: corrections, from imgclf audit --fix-list
        group: pattern for file names: equal parts stay in one split
        profile: quick takes minutes, full reaches the headline figures
        parameters: name and value of a notebook parameter
        out: report folder; default runs/TIME
        cell_timeout: seconds one cell may take
        resume: keep the notebooks that have passed in --out, unless something about them changed
        json: print the results as JSON
    """
    import time

    from imgclf_lib.course import run_notebooks
    from imgclf_lib.storage import course_folder

    if resume and not out:
        raise InputError("There is nothing to resume", do="Name the report with --out")
    out = out or course_folder() / "runs" / time.strftime("%Y-%m-%d_%H-%M-%S")
    values = {name: _value(text) for name, text in parameters}
    given = {"fixes": fixes, "group": group}
    values |= {name: str(value) for name, value in given.items() if value}
    results = run_notebooks(notebooks, out, data, profile, values, cell_timeout, resume)
    if json:
        _print_json(loads(results.to_json(orient="records")))
    else:
        _print_lines([f"The report is in {out / 'index.html'}"])
    return 0


def lab(browser: bool = True, port: int = 8888) -> int:
    """Open the course in JupyterLab, on this machine only, protected by a token.

    You work on copies without outputs, in my_notebooks; delete one there to get it fresh.

    examples:
      imgclf lab
      imgclf lab --no-browser --port 9000

    Args:
        browser: open a web browser
        port: first port to try
    """
    from imgclf_lib.course import open_lab

    return open_lab(browser, port)


def exercises(
    notebooks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NOTEBOOK ...]")] = (),
    /,
    out: Path | None = None,
    solutions: Literal["strip", "keep"] = "strip",
    json: bool = False,
) -> int:
    """List the exercises of the course; write copies with or without solutions.

    The list names the points that each of them tests. With --out, a copy of the notebooks is
    written too: --solutions keep fills every answer in, for the instructor; --solutions strip
    removes the lines that show the solutions, for a class.

    examples:
      imgclf exercises
      imgclf exercises 04_train --json
      imgclf exercises --out for_class --solutions strip

    Args:
        notebooks: numbers, names or paths; all of the course if none is given
        out: new folder for copies
        solutions: what becomes of the answers in them
        json: print the list as JSON
    """
    from imgclf_lib.course import find_notebooks
    from imgclf_lib.course.exercises import exercise_table, write_copies

    paths = find_notebooks(notebooks)
    if out is not None:
        copies = write_copies(paths, out, solutions)
        tell(f"{len(copies)} notebooks are in {out}")
    table = exercise_table(paths)
    if json:
        _print_json(table.to_dict("records"))
        return 0
    for notebook, rows in table.groupby("notebook", sort=False):
        print(notebook)
        for name, title, tests in rows[["exercise", "title", "tests"]].itertuples(index=False):
            print(f"  {name}: {title}")
            print(*(f"      tests {point}" for point in tests), sep="\n")
    return 0


def cache(
    names: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NAME ...]")] = (),
    /,
    clear: bool = False,
    json: bool = False,
) -> int:
    """List the decoded images that are kept on disk, or delete them.

    They are made again when they are needed.

    examples:
      imgclf cache
      imgclf cache --clear photos
      imgclf cache --clear

    Args:
        names: data sets to delete, with --clear
        clear: delete those named, or all
        json: print the list as JSON
    """
    from datetime import datetime

    from imgclf_lib.data import clear_caches, list_caches
    from imgclf_lib.storage import cache_folder

    if clear:
        freed = clear_caches(names)
        tell(f"{freed / 1e6:,.1f} MB are free again")
    elif names:
        raise InputError("Names go with --clear", received=" ".join(names))
    table = list_caches()
    if json:
        _print_json(table.to_dict("records"))
        return 0
    lines = [f"{len(table)} decoded data sets in {cache_folder()}"]
    for row in table.itertuples():
        used = f"{datetime.fromtimestamp(row.used):%Y-%m-%d %H:%M}"
        size = f"{row.bytes / 1e6:10,.1f} MB"
        lines.append(f"{size}  used {used}  {row.folder}  {row.place or row.name}")
    _print_lines(lines)
    return 0


COMMANDS = {
    command.__name__: command
    for command in (doctor, audit, train, evaluate, predict, run, lab, exercises, cache)
}

HELP = """usage: imgclf COMMAND [OPTIONS]

Image classification: a course and a toolkit.

commands:
{commands}

examples:
  imgclf audit path/to/photos --fix_list fixes.csv
  imgclf train --data fashion_mnist --epochs 5
  imgclf train --data path/to/photos --preset deep --out models/photos
  imgclf evaluate models/photos
  imgclf predict models/photos new/*.jpg
  imgclf run --data path/to/photos --out runs/photos

imgclf COMMAND --help tells more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after ``imgclf``; those of the process by default.

    Returns:
        The exit code: 0 done; 1 ran, and the answer is no; 2 bad input; 130 interrupted.
    """
    try:
        _prepare_streams()
        code = _answer(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()  # here, and not at exit, so that a lost reader is noticed
        return code
    except BrokenPipeError:  # the reader, such as head, has seen enough
        _drop_output()
        return 0
    except OSError as error:
        code = _complain(str(explain(error)), InputError.exit_code)
        try:
            sys.stdout.flush()
        except OSError:  # it was standard output that could not be written
            _drop_output()
        return code


def _prepare_streams() -> None:
    """Give a process its streams where they are closed, and escapes for letters they lack."""
    while (number := os.open(os.devnull, os.O_RDWR)) < 3:
        pass  # else the next file that is opened would take the place of standard output
    os.close(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _answer(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        firsts = {name: (each.__doc__ or "").split("\n")[0] for name, each in COMMANDS.items()}
        lines = [f"  {name:11} {text[:1].lower()}{text[1:-1]}" for name, text in firsts.items()]
        print(HELP.format(commands="\n".join(lines)))
        return 0
    if words[0] == "--version":
        from imgclf_lib import __version__

        print(__version__)
        return 0
    if words[0] not in COMMANDS:
        return _complain(f"There is no command {words[0]!r}. Try imgclf --help.", 2)
    try:
        return _call(words[0], words[1:])
    except ImgclfError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        hints = {"train": "--resume", "run": "--out REPORT --resume"}
        hint = f" What is complete is kept; the same command with {hints.get(words[0])} goes on."
        return _complain("Interrupted." + (hint if words[0] in hints else ""), 130)
    except MemoryError:
        return _complain(
            "There is not enough memory for this. Close other programs, or choose a smaller"
            " image_size or batch_size; then give the same command again.",
            1,
        )
    except SystemExit as end:  # the argument parser has said what is wrong
        return end.code if isinstance(end.code, int) else 2


def _call(name: str, words: list[str]) -> int:
    """Read the words as the command's signature says, and do its work."""
    global tyro  # the annotations name it
    import tyro

    if shutil.get_terminal_size().columns < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)
    command: Callable[..., int] = COMMANDS[name]
    if command is train:
        command = partial(train, experiment=preset(_preset_in(words)))
    return tyro.cli(
        command,
        prog=f"imgclf {name}",
        args=words,
        use_underscores=True,  # in the help; both spellings are understood
        config=() if command is lab else (tyro.conf.FlagCreatePairsOff,),  # lab: --no-browser
    )


def _preset_in(words: list[str]) -> str:
    """The preset must be known before the other flags: they change its values."""
    from argparse import ArgumentParser

    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", nargs="?")
    return parser.parse_known_args(words)[0].preset or "simple"


def _field(name: str) -> Any:
    """The help of a field of the experiment."""
    return tyro.conf.arg(help=Experiment.__dataclass_fields__[name].metadata["help"])


def _value(text: str) -> Any:
    """A notebook parameter: ``3``, ``0.1``, ``true`` and ``[32, 64]`` are JSON, others text."""
    try:
        return loads(text)
    except (ValueError, RecursionError):
        return text


def _tell_unfinished(run: Run) -> None:
    """A run that was interrupted or failed answers from its best epoch; that must be known."""
    status = run.metrics.get("status", "")
    if status != "completed" and (run.folder / "model.keras").is_file():
        tell(f"The training of {run.folder} {STATUS[status]}: its best epoch answers")


def _tell_chance(run: Run, experiment: Experiment) -> None:
    """A network that learned nothing is finished all the same; that must be known, too."""
    import numpy as np

    from imgclf_lib.data import load_data

    counts = np.bincount(load_data(experiment).val.labels)
    share, name = counts.max() / counts.sum(), run.class_names[counts.argmax()]
    if run.metrics["val_accuracy"] <= share + 1e-6:
        tell(
            f"It has learned nothing that helps: whoever always answers {name!r} is right as often"
            f" ({share:.3f} of the validation images). Try another learning_rate or more epochs,"
            " and look at the images with imgclf audit"
        )


def _print_json(content: Any) -> None:
    print(dumps(content, indent=2))


def _print_lines(lines: Iterable[str]) -> None:
    """Print lines that hold names of files or classes, which may hold anything."""
    for line in lines:
        print(printable(line))


def _complain(message: str, code: int) -> int:
    with suppress(OSError):  # nobody can be told where standard error is full
        tell(f"imgclf: {message}")
    return code
