"""The commands. No logic of their own: each reads its arguments and calls the library.

What is needed is imported when it is needed, so that ``imgclf --help`` answers at once.
"""

import json as json_module
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgclf_lib.errors import ImgclfError

HELP = """usage: imgclf COMMAND [OPTIONS]

Image classification: a course and a toolkit.

commands:
  doctor      check this machine: packages, backend, accelerator, data, disk
  train       train one model into a run folder
  evaluate    measure a trained run on the test split
  predict     class and probability for image files
  run         run the course's notebooks without a browser, and write a report
  lab         open the course in JupyterLab

examples:
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
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        print(HELP)
        return 0
    if words[0] == "--version":
        from imgclf_lib import __version__

        print(__version__)
        return 0
    try:
        command = COMMANDS.get(words[0])
        if command is None:
            print(HELP.split("\n\n")[0], file=sys.stderr)
            raise SystemExit(_complain(f"There is no command {words[0]!r}. Try imgclf --help.", 2))
        return command(words[1:])
    except ImgclfError as error:
        return _complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        hint = " What is complete is kept; the same command with --resume goes on."
        return _complain("Interrupted." + (hint if words[0] == "train" else ""), 130)
    except SystemExit as end:  # the argument parser has said what is wrong
        return end.code if isinstance(end.code, int) else 2


def doctor(words: Sequence[str]) -> int:
    """Check this machine, one line for each thing.

    example:
      imgclf doctor
    """

    def parse(json: bool = False) -> bool:
        return json

    as_json = _parse("doctor", parse, words, doctor.__doc__)
    from imgclf_lib.doctor import examine

    checks = examine()
    if as_json:
        _print_json([check._asdict() for check in checks])
    else:
        for check in checks:
            print(f"{'ok ' if check.good else 'FIX'}  {check.name:12} {check.found}")
            if not check.good:
                print(f"     {'':12} {check.do}")
    return 0 if all(check.good for check in checks) else 1


def train(words: Sequence[str]) -> int:
    """Train one model into a run folder.

    A finished run of the same experiment on the same data is loaded, not trained again.

    examples:
      imgclf train --data fashion_mnist
      imgclf train --data path/to/photos --preset deep --epochs 20 --out models/photos
      imgclf train --filters 16 32 64 --dense_units 64 --learning_rate 0.003
    """
    from dataclasses import dataclass
    from typing import Annotated, Literal

    import tyro

    from imgclf_lib.experiment import PRESETS, Experiment, preset

    @dataclass(frozen=True)
    class Arguments:
        experiment: Annotated[Experiment, tyro.conf.arg(name="")]
        preset: Annotated[
            Literal[tuple(PRESETS)],  # type: ignore[valid-type]
            tyro.conf.arg(help="values to start from; the other flags change them"),
        ] = "simple"
        out: Annotated[
            Path | None, tyro.conf.arg(help="run folder; chosen from the experiment if not given")
        ] = None
        resume: Annotated[bool, tyro.conf.arg(help="continue an unfinished run")] = False
        json: Annotated[bool, tyro.conf.arg(help="print the figures as JSON")] = False

    start = preset(_value_of("--preset", words) or "simple")
    given = _parse("train", Arguments, words, train.__doc__, Arguments(start))
    from imgclf_lib.train import train as train_experiment

    run = train_experiment(given.experiment, given.out, given.resume, progress="bar")
    figures = {"run": str(run.folder), **run.metrics}
    if given.json:
        _print_json(figures)
    else:
        print(f"{figures['run']}")
        print(
            f"train accuracy {figures['train_accuracy']:.3f}"
            f"   validation accuracy {figures['val_accuracy']:.3f}"
            f"   {figures['epochs_run']} epochs in {figures['train_seconds']:.0f} s"
        )
    return 0


def evaluate(words: Sequence[str]) -> int:
    """Measure a trained run, by default on its test split.

    Writes evaluation.json, predictions.csv and three pictures into the run folder.

    examples:
      imgclf evaluate models/photos
      imgclf evaluate models/photos --data path/to/other/photos --json
    """
    from typing import Annotated, Literal

    import tyro

    def parse(
        run: tyro.conf.Positional[Path],
        data: Annotated[str, tyro.conf.arg(help="other data than the run's own")] = "",
        split: Literal["train", "val", "test"] = "test",
        json: Annotated[bool, tyro.conf.arg(help="print the figures as JSON")] = False,
    ) -> tuple[Path, str, str, bool]:
        return run, data, split, json

    folder, data, split, as_json = _parse("evaluate", parse, words, evaluate.__doc__)
    from imgclf_lib.evaluate import evaluate as evaluate_run
    from imgclf_lib.evaluation_figures import save_evaluation_figures
    from imgclf_lib.runs import Run

    evaluation = evaluate_run(Run(folder), data, split)
    save_evaluation_figures(evaluation, folder)
    figures = evaluation.figures
    if as_json:
        _print_json(figures)
    else:
        low, high = figures["accuracy_ci95"]
        print(
            f"{split} accuracy {figures['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f},"
            f" {figures['n']:,} images)   loss {figures['loss']:.4f}"
            f"   calibration error {figures['calibration_error']:.4f}"
        )
    return 0


def predict(words: Sequence[str]) -> int:
    """Say what is on images: the most probable classes of each file.

    examples:
      imgclf predict models/photos cat.jpg
      imgclf predict models/photos new/ --top 1 --json
    """
    from typing import Annotated

    import tyro

    def parse(
        run: tyro.conf.Positional[Path],
        images: tyro.conf.Positional[tuple[Path, ...]],
        top: Annotated[int, tyro.conf.arg(help="how many classes to name for each image")] = 3,
        json: Annotated[bool, tyro.conf.arg(help="print the predictions as JSON")] = False,
    ) -> tuple[Path, tuple[Path, ...], int, bool]:
        return run, images, top, json

    folder, images, top, as_json = _parse("predict", parse, words, predict.__doc__)
    from imgclf_lib.predict import predict_files
    from imgclf_lib.runs import Run

    table, problems = predict_files(Run(folder), images, top)
    if as_json:
        records = {"predictions": table, "problems": problems}
        _print_json({name: each.to_dict("records") for name, each in records.items()})
    else:
        for path, rows in table.groupby("path", sort=False):
            named = zip(rows["class"], rows["probability"], strict=True)
            print(path, *(f"{name} {probability:.3f}" for name, probability in named), sep="   ")
    for path, problem in problems.itertuples(index=False):
        print(f"{path}: cannot be decoded ({problem})", file=sys.stderr)
    return 1 if len(problems) else 0


def run(words: Sequence[str]) -> int:
    """Run the course's notebooks without a browser, and write a report.

    Each notebook runs in a fresh kernel. The report is OUT/index.html; OUT also holds the
    executed notebooks, their HTML pages and results.csv.

    examples:
      imgclf run
      imgclf run 04_train 05_evaluate --profile full
      imgclf run --data path/to/photos -p epochs 10 --out runs/photos
    """
    from typing import Annotated, Literal

    import tyro

    def parse(
        notebooks: tyro.conf.Positional[tuple[str, ...]] = (),
        data: Annotated[str, tyro.conf.arg(help="known data set, or a folder of images")] = "",
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

    given = _parse("run", parse, words, run.__doc__)
    import time

    from imgclf_lib.paths import course_folder
    from imgclf_lib.suite import parse_value, run_notebooks

    out = given["out"] or course_folder() / "runs" / time.strftime("%Y-%m-%d_%H-%M-%S")
    results = run_notebooks(
        given["notebooks"],
        out,
        given["data"],
        given["profile"],
        {name: parse_value(value) for name, value in given["parameters"]},
        given["cell_timeout"],
    )
    if given["json"]:
        _print_json(json_module.loads(results.to_json(orient="records")))
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

    browser, port = _parse("lab", parse, words, lab.__doc__, pairs=True)
    import subprocess

    from imgclf_lib.lab import lab_command

    return subprocess.run(lab_command(browser, port), check=False).returncode


COMMANDS = {
    "doctor": doctor,
    "train": train,
    "evaluate": evaluate,
    "predict": predict,
    "run": run,
    "lab": lab,
}


def _parse(
    command: str,
    into: Any,
    words: Sequence[str],
    description: str | None,
    default: Any = None,
    pairs: bool = False,
) -> Any:
    """Read the words after a command; every flag may be written with ``_`` or with ``-``."""
    import inspect

    import tyro

    return tyro.cli(
        into,
        prog=f"imgclf {command}",
        description=inspect.cleandoc(description or ""),
        args=list(words),
        use_underscores=True,
        config=() if pairs else (tyro.conf.FlagCreatePairsOff,),
        **({} if default is None else {"default": default}),
    )


def _value_of(flag: str, words: Sequence[str]) -> str:
    """The value of a flag that must be known before the others are read."""
    for number, word in enumerate(words):
        if word == flag and number + 1 < len(words):
            return words[number + 1]
        if word.startswith(flag + "="):
            return word.removeprefix(flag + "=")
    return ""


def _print_json(content: Any) -> None:
    print(json_module.dumps(content, indent=2))


def _complain(message: str, code: int) -> int:
    print(f"imgclf: {message}", file=sys.stderr)
    return code
