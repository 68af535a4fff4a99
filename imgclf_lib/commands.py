"""What each command does: read its words, call the library, print.

What is needed is imported when it is needed, so that help and wrong words are answered at once.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from imgclf_lib.words import parse_words, print_json, value_of

SMALL = 64  # height and width, in pixels, for which the preset fast is made


def doctor(words: Sequence[str]) -> int:
    """Check this machine, one line for each thing.

    example:
      imgclf doctor
    """

    def parse(json: bool = False) -> bool:
        return json

    as_json = parse_words("doctor", parse, words, doctor.__doc__)
    from imgclf_lib.doctor import examine

    checks = examine()
    if as_json:
        print_json([check._asdict() for check in checks])
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
      imgclf train --data cifar10 --preset fast
      imgclf train --filters 16 32 64 --dense_units 64 --learning_rate 0.003
    """
    from dataclasses import dataclass
    from typing import Annotated, Literal

    import tyro

    from imgclf_lib.experiment import Experiment
    from imgclf_lib.presets import PRESETS, preset

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

    start = preset(value_of("--preset", words) or "simple")
    given = parse_words("train", Arguments, words, train.__doc__, Arguments(start))
    from imgclf_lib.train import train as train_experiment

    run = train_experiment(given.experiment, given.out, given.resume, progress="bar")
    figures = {"run": str(run.folder), **run.metrics}
    if given.json:
        print_json(figures)
    else:
        print(f"{figures['run']}")
        print(
            f"train accuracy {figures['train_accuracy']:.3f}"
            f"   validation accuracy {figures['val_accuracy']:.3f}"
            f"   {figures['epochs_run']} epochs in {figures['train_seconds']:.0f} s"
        )
        if given.preset == "simple" and max(run.environment["image_shape"][:2]) <= SMALL:
            print(
                "These are small pictures: --preset fast may reach more in the same time. It"
                " mirrors images, so it is not for letters or digits.",
                file=sys.stderr,
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

    folder, data, split, as_json = parse_words("evaluate", parse, words, evaluate.__doc__)
    from imgclf_lib.evaluate import calibration_table
    from imgclf_lib.evaluate import evaluate as evaluate_run
    from imgclf_lib.evaluation_plots import save_evaluation_figures
    from imgclf_lib.runs import Run

    evaluation = evaluate_run(Run(folder), data, split)
    figures, images = evaluation.figures, evaluation.split
    bins = calibration_table(evaluation.probabilities, images.labels)
    counts, names = figures["confusion_matrix"], evaluation.class_names
    save_evaluation_figures(folder, counts, names, bins, evaluation.predictions, images.images)
    if as_json:
        print_json(figures)
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

    folder, images, top, as_json = parse_words("predict", parse, words, predict.__doc__)
    from imgclf_lib.predict import predict_files
    from imgclf_lib.runs import Run

    table, problems = predict_files(Run(folder), images, top)
    if as_json:
        records = {"predictions": table, "problems": problems}
        print_json({name: each.to_dict("records") for name, each in records.items()})
    else:
        for path, rows in table.groupby("path", sort=False):
            named = zip(rows["class"], rows["probability"], strict=True)
            print(path, *(f"{name} {probability:.3f}" for name, probability in named), sep="   ")
    for path, problem in problems.itertuples(index=False):
        print(f"{path}: cannot be decoded ({problem})", file=sys.stderr)
    return 1 if len(problems) else 0
