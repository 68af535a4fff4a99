"""The commands, as a user types them: real processes, real runs, real exit codes."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from imgclf_lib import cli
from imgclf_lib.cli import COMMANDS, main
from imgclf_lib.experiment import Experiment, preset
from imgclf_lib.training import Run

QUICK = ["--filters", "8", "--dense_units", "16", "--batch_size", "16", "--learning_rate", "0.01"]


def imgclf(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imgclf_lib", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | variables,
    )


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> dict:
    """What ``train`` and ``run`` were asked to do, instead of doing it."""
    asked: dict = {}

    def take(experiment: Experiment, *rest: object, **options: object) -> None:
        asked["experiment"] = experiment
        raise KeyboardInterrupt

    def take_all(notebooks, out, data, profile, parameters, cell_timeout, resume) -> pd.DataFrame:
        asked.update(notebooks=notebooks, out=out, data=data, profile=profile)
        asked.update(parameters=parameters, cell_timeout=cell_timeout, resume=resume)
        return pd.DataFrame({"notebook": ["04_train"], "seconds": [float("nan")]})

    monkeypatch.setattr("imgclf_lib.training.train", take)
    monkeypatch.setattr("imgclf_lib.course.run_notebooks", take_all)
    return asked


def test_help_names_every_command_and_is_quick() -> None:
    times = []
    for _ in range(3):
        before = os.times()
        done = imgclf("--help")
        after = os.times()  # of the processor: a busy machine only lets it wait
        times.append(sum(after[2:4]) - sum(before[2:4]))
        assert done.returncode == 0
        assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert min(times) < 0.3


LIGHT = {
    "imgclf_lib",
    *(f"imgclf_lib.{name}" for name in ("cli", "errors", "experiment")),
}
LOADED = """
import json, sys
from imgclf_lib.cli import main
main(['--help'])
print(json.dumps(sorted(sys.modules)))
"""


def test_help_loads_nothing_heavy_and_no_chapter() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & {"keras", "tensorflow", "torch", "jax", "numpy", "pandas", "tyro"}
    assert {name for name in loaded if name.partition(".")[0] == "imgclf_lib"} <= LIGHT


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_examples(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: imgclf {command}" in shown
    assert "example" in shown
    assert f"imgclf {command}" in shown.split("example", 1)[1]
    assert "Args:" not in shown
    assert not re.search(r"(^\W*|  )\(default", shown, re.MULTILINE), "an option without its help"


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("usage: imgclf COMMAND")


def test_the_overview_says_what_each_command_says_first(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    shown = capsys.readouterr().out
    for name, command in COMMANDS.items():
        first = command.__doc__.splitlines()[0]
        assert f"\n  {name:11} {first[0].lower()}{first[1:-1]}\n" in shown
        assert first.endswith(".")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.count(".") == 2


def test_doctor_reports_each_thing(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    checks = json.loads(capsys.readouterr().out)
    names = [check["name"] for check in checks]
    assert names == [
        *("Python", "packages", "backend", "accelerator"),
        *("data", "notebooks", "memory", "disk"),
    ]
    good = {check["name"]: check["good"] for check in checks}
    assert good["data"]
    assert good["backend"]


def state_of(folder: Path) -> dict[Path, tuple[int, bytes]]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def test_audit_train_evaluate_predict_and_the_folder_stays_as_it_is(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, before = tmp_path / "run", state_of(images)
    assert main(["audit", str(images), "--json"]) == 0
    capsys.readouterr()
    words = ["train", "--data", str(images), *QUICK, "--epochs", "3", "--out", str(run)]
    assert main([*words, "--json"]) == 0
    trained = json.loads(capsys.readouterr().out)
    assert trained["status"] == "completed"
    assert trained["epochs_run"] == 3
    written = (run / "model.keras").stat().st_mtime_ns

    assert main(["train", *words[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == trained
    assert (run / "model.keras").stat().st_mtime_ns == written

    assert main(["evaluate", str(run), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["n"] == sum(each["support"] for each in measured["per_class"])
    low, high = measured["accuracy_ci95"]
    assert 0 <= low <= measured["accuracy"] <= high <= 1
    for name in ("evaluation.json", "predictions.csv", "confusion_matrix.png", "calibration.png"):
        assert (run / name).is_file()

    image = next(images.rglob("*.png"))
    assert main(["predict", str(run), str(image), "--top", "2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["predictions"]
    assert [each["rank"] for each in said] == [1, 2]
    assert said[0]["probability"] >= said[1]["probability"]
    assert state_of(images) == before


def test_both_spellings_of_flags_and_presets(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, flag in enumerate(("--batch_size", "--batch-size")):
        run = tmp_path / str(number)
        words = ["--preset", "linear", "--epochs", "1", flag, "7", "--out", str(run)]
        assert main(["train", "--data", str(images), *words]) == 0
        experiment = json.loads((run / "experiment.json").read_text())
        assert experiment["batch_size"] == 7
        assert experiment["filters"] == []


@pytest.mark.parametrize(
    ("words", "experiment"),
    [
        ("", preset("simple")),
        ("--preset deep", preset("deep")),
        ("--preset=deep --epochs 2", preset("deep").replace(epochs=2)),
        ("--epochs 2 --preset deep", preset("deep").replace(epochs=2)),
        ("--preset fast --preset deep", preset("deep")),
        ("--filters 8 --dense_units --preset linear", preset("linear").replace(filters=(8,))),
    ],
)
def test_flags_change_the_preset(words: str, experiment: Experiment, instead: dict) -> None:
    assert main(["train", *words.split()]) == 130
    assert instead["experiment"] == experiment


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.1", 0.1),
        ("true", True),
        ("[32, 64]", [32, 64]),
        ("fashion_mnist", "fashion_mnist"),
        ("my photos", "my photos"),
        pytest.param("9" * 5000, "9" * 5000, id="digits"),
        pytest.param("[" * 10**5, "[" * 10**5, id="depth"),
    ],
)
def test_parameters_of_notebooks_are_json_or_text(text: str, value: object, instead: dict) -> None:
    assert main(["run", "04", "-p", "one", text, "--parameters", "two", "2"]) == 0
    assert instead["parameters"] == {"one": value, "two": 2}
    assert instead["notebooks"] == ("04",)


def test_the_suite_is_told_all(
    instead: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "04 05 --data photos --fixes my.csv --group (.) --profile full --cell-timeout 9 --json"
    assert main(["run", *words.split(), "--out", str(tmp_path)]) == 0
    assert instead == {
        "notebooks": ("04", "05"),
        "out": tmp_path,
        "data": "photos",
        "profile": "full",
        "parameters": {"fixes": "my.csv", "group": "(.)"},
        "cell_timeout": 9,
        "resume": False,
    }
    assert json.loads(capsys.readouterr().out) == [{"notebook": "04_train", "seconds": None}]
    assert main(["run", "04", "--resume", "--out", str(tmp_path)]) == 0
    assert instead["resume"]
    capsys.readouterr()
    assert main(["run", "04", "--resume"]) == 2
    assert "Name the report with --out" in capsys.readouterr().err


def test_small_pictures_are_told_of_the_fast_preset(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--data", str(images), *QUICK, "--epochs", "1", "--out", str(tmp_path)]
    for more, told in (([], True), (["--json"], False), (["--preset", "linear"], False)):
        assert main([*words[:-1], str(tmp_path / str(len(more))), *more]) == 0
        shown = capsys.readouterr()
        assert ("--preset fast" in shown.err) == told
        assert "--preset fast" not in shown.out


@pytest.mark.parametrize(
    ("status", "said"),
    [("failed", "failed, its loss"), ("interrupted", "was interrupted"), ("", "goes on, or was k")],
)
def test_who_asks_an_unfinished_run_is_told(
    status: str,
    said: str,
    trained: Run,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.folder, run)
    (run / "metrics.json").unlink()
    if status:
        (run / "metrics.json").write_text(json.dumps({"status": status}))
    image = next(images.rglob("*.png"))
    assert main(["predict", str(run), str(image)]) == 0
    assert f"The training of {run} {said}" in capsys.readouterr().err


@pytest.mark.parametrize(("accuracy", "told"), [(0.3, True), (1 / 3, True), (0.6, False)])
def test_a_network_that_learned_nothing_is_said_to(
    accuracy: float, told: bool, trained: Run, tiny: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    run = SimpleNamespace(metrics={"val_accuracy": accuracy}, class_names=trained.class_names)
    cli._tell_chance(run, tiny)
    said = capsys.readouterr().err
    assert ("always answers 'blob' is right as often (0.333" in said) == told


def test_a_broken_image_is_named_and_the_answer_is_no(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, broken = tmp_path / "run", tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    main(["train", "--data", str(images), *QUICK, "--epochs", "1", "--out", str(run)])
    good = next(images.rglob("*.png"))
    capsys.readouterr()
    assert main(["predict", str(run), str(good), str(broken)]) == 1
    shown = capsys.readouterr()
    assert str(good) in shown.out
    assert "broken.png: cannot be decoded" in shown.err


BAD = {
    "unknown data name": ("train --data nothing_like_it", "'nothing_like_it'"),
    "folder without images": ("train --data {empty}", "no image"),
    "one class only": ("train --data {single}", "two classes"),
    "epochs 0": ("train --data {good} --epochs 0", "'epochs'"),
    "learning rate -1": ("train --data {good} --learning_rate -1", "'learning_rate'"),
    "unknown choice": ("train --data {good} --activation soft", "activation"),
    "not a number": ("train --data {good} --epochs many", "epochs"),
    "unknown flag": ("train --data {good} --epoch_count 3", "epoch_count"),
    "unknown preset": ("train --data {good} --preset huge", "preset"),
    "unknown command": ("trian", "'trian'"),
    "no run to evaluate": ("evaluate {empty}", "not a run folder"),
    "no image to predict": ("predict {empty} {empty}/nothing.png", "nothing.png"),
    "unknown parameter": ("run -p unheard_of 1", "unheard_of"),
    "bad value of a parameter": ("run -p epochs 0", "'epochs'"),
    "unknown notebook": ("run 99_nothing", "99_nothing"),
    "unknown data of the course": ("run --data nothing_like_it", "nothing_like_it"),
    "not a port": ("lab --port 0", "port"),
    "missing value": ("train --data {good} --preset --json", "--preset"),
    "a word too many": ("doctor now", "now"),
    "a command in want of words": ("evaluate", "RUN"),
    "unknown data to audit": ("audit nowhere", "no data set"),
    "no fix list to audit with": ("audit fashion_mnist --fixes nowhere.csv", "nowhere.csv"),
    "bad pattern": ("audit {empty} --group (", "group"),
    "bad way to name classes": ("audit {empty} --class_folders deep", "class_folders"),
    "bad size": ("audit {empty} --image_size -3", "image_size"),
    "nothing to audit": ("audit", "required"),
}


@pytest.mark.parametrize(("line", "named"), BAD.values(), ids=BAD)
def test_bad_input_is_one_message_and_writes_nothing(
    line: str,
    named: str,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"empty": tmp_path / "empty", "single": tmp_path / "single", "good": images}
    places["empty"].mkdir()
    source = next(images.rglob("*.png"))
    (places["single"] / "only").mkdir(parents=True)
    (places["single"] / "only" / "1.png").write_bytes(source.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    for name in ("models", "cache"):
        monkeypatch.setenv(f"IMGCLF_{name.upper()}", str(tmp_path / name))
    assert main(line.format(**places).split()) == 2
    said = capsys.readouterr()
    assert named in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_process_ends_with_the_code() -> None:
    for words in (["trian"], ["train", "--epochs", "0"], ["train", "--epochs", "many"]):
        done = imgclf(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert words[-1] in done.stderr
        assert "Traceback" not in done.stderr


def test_a_reader_that_stops_early_is_no_error() -> None:
    command = f"{sys.executable} -m imgclf_lib train --help | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: imgclf train")
    assert done.stderr == ""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_error(closed: str) -> None:
    command = f"{sys.executable} -m imgclf_lib cache {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
def test_a_full_device_is_one_message() -> None:
    command = f"{sys.executable} -m imgclf_lib --version"
    done = subprocess.run(
        f"{command} > /dev/full", shell=True, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = subprocess.run(f"{command} nothing 2> /dev/full", shell=True, check=False)
    assert done.returncode == 0


def test_a_console_with_few_letters_shows_escapes(tmp_path: Path) -> None:
    script = "import sys; from imgclf_lib import cli\n"
    script += "cli._answer = lambda words: print('猫', words[0]) or 0\nsys.exit(cli.main())"
    done = subprocess.run(
        [sys.executable, "-c", script, b"\xff.png"],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.split() == [rb"\u732b", rb"\udcff.png"]


def test_a_process_that_may_open_nothing_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(cli, "_prepare_streams", refuse)
    assert main(["cache"]) == 2
    assert capsys.readouterr().err.startswith("imgclf: A file or stream cannot be read or written")


def test_a_very_narrow_terminal_has_help() -> None:
    done = imgclf("cache", "--help", COLUMNS="5")
    assert done.returncode == 0
    assert "--clear" in done.stdout


@pytest.mark.parametrize("out", ["file/run", "n" * 300], ids=["below a file", "name too long"])
def test_a_place_that_cannot_be(
    out: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    assert main(["train", "--data", str(images), "--out", str(tmp_path / out)]) == 2
    said = capsys.readouterr().err
    assert out in said
    assert "cannot be read or written" in said
    assert "Traceback" not in said
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_is_one_message_and_the_retry_works(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    words = ["audit", str(images), "--fix_list", str(tmp_path / "fixes.csv")]
    with monkeypatch.context() as patch:
        patch.setattr("imgclf_lib.storage.os.fsync", full)
        assert main(words) == 2
    said = capsys.readouterr().err
    assert f"{str(tmp_path / 'fixes.csv')!r} cannot be read or written (No space left" in said
    assert "Free some disk space" in said
    assert list(tmp_path.iterdir()) == [], "no empty list that a retry would spare"
    assert main(words) == 0
    assert (tmp_path / "fixes.csv").stat().st_size


def test_interrupt_exits_130_and_resume_goes_on(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["--data", str(images), *QUICK, "--epochs", "400", "--out", str(run)]
    command = [sys.executable, "-m", "imgclf_lib", "train", *words]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not (run / "last.keras").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in shown
    assert "Traceback" not in shown
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["status"] == "interrupted"
    assert 1 <= metrics["epochs_run"] < 400


def test_a_run_on_a_relative_folder_is_evaluated_from_anywhere(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    monkeypatch.chdir(images.parent)
    words = ["--data", images.name, "--preset", "linear", "--epochs", "1", "--out", str(run)]
    assert main(["train", *words]) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", str(run)]) == 0


@pytest.fixture(scope="module")
def folder(make_images, tmp_path_factory) -> Path:
    """Shapes with a copy, a broken file and names to be wary of."""
    folder = make_images(tmp_path_factory.mktemp("audited") / "my shapes")
    shutil.copy(folder / "rows/001.png", folder / "rows/copy.png")
    (folder / "rows/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "rows/notes.txt").write_text("hello")
    wild = folder / "猫 <b>$x$\x1b[31m\n"
    shutil.copytree(folder / "blob", wild)
    for number, path in enumerate(sorted(wild.iterdir())):
        if number % 2:
            path.unlink()
    return folder


def test_an_audit_for_people(folder):
    done = imgclf("audit", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("my shapes: 73 files, 71 accepted, 2 rejected\n")
    assert "\x1b" not in done.stdout + done.stderr
    assert r"猫 <b>$x$\x1b[31m\n" in done.stdout
    assert "Traceback" not in done.stderr


def test_json_of_an_audit_is_all_of_standard_output(folder, capsys):
    assert main(["audit", str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == 73 == said["accepted"] + said["rejected"]
    assert said["rejected"] == 2
    assert {"path", "problem", "detail", "severity"} <= set(said["findings"][0])
    kinds = {(each["path"], each["problem"]) for each in said["findings"]}
    assert ("rows/copy.png", "duplicate") in kinds
    assert ("rows/notes.txt", "unknown extension") in kinds
    wild = "猫 <b>$x$\x1b[31m\n/000.png"
    assert (wild, "duplicate with conflicting labels") in kinds


def test_a_terminal_with_few_letters(folder):
    done = imgclf("audit", folder, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert r"\u732b <b>" in done.stdout


def test_strict_says_no_on_errors_and_warnings_alone(folder, images, tmp_path, capsys):
    assert main(["audit", str(folder), "--strict"]) == 1
    assert main(["audit", str(images), "--strict"]) == 0
    mild = shutil.copytree(images, tmp_path / "mild")
    (mild / "blob/notes.txt").write_text("hello")
    capsys.readouterr()
    assert main(["audit", str(mild), "--strict"]) == 0
    assert "unknown extension" in capsys.readouterr().out


@pytest.mark.parametrize("spelling", ["--fix_list", "--fix-list"])
def test_a_fix_list_is_written_and_honoured(folder, tmp_path, capsys, spelling):
    path = tmp_path / "new/fixes.csv"
    assert main(["audit", str(folder), spelling, str(path), "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    listed = pd.read_csv(path, keep_default_na=False).set_index("path")
    assert listed.loc["rows/copy.png", "action"] == "exclude"
    assert listed.loc["rows/001.png", "action"] == "keep"
    assert main(["audit", str(folder), "--fixes", str(path), "--json"]) == 0
    after = json.loads(capsys.readouterr().out)
    assert after["rejected"] == before["rejected"] + 1
    assert ["rows/copy.png", "excluded"] in [[f["path"], f["problem"]] for f in after["findings"]]

    assert main(["audit", str(folder), spelling, str(path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["audit", str(folder), spelling, str(folder / "fixes.csv")]) == 2
    assert "inside the folder" in capsys.readouterr().err
    assert not (folder / "fixes.csv").exists()


def test_a_folder_without_any_usable_image(tmp_path, capsys):
    (tmp_path / "data/cat").mkdir(parents=True)
    (tmp_path / "data/cat/1.jpg").write_bytes(b"")
    assert main(["audit", str(tmp_path / "data")]) == 0
    assert "1 file, 0 accepted, 1 rejected" in capsys.readouterr().out
    assert main(["audit", str(tmp_path / "data"), "--strict"]) == 1


def test_the_cache_is_listed_and_cleared(make_images, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("IMGCLF_CACHE", str(tmp_path / "cache"))
    assert main(["cache"]) == 0
    assert "0 decoded data sets" in capsys.readouterr().out
    for name in ("one", "two"):
        make_images(tmp_path / name, 4)
        assert main(["audit", str(tmp_path / name)]) == 0
    capsys.readouterr()
    assert main(["cache", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} == {"one", "two"}
    assert all(row["bytes"] > 0 for row in rows)
    assert main(["cache", "one"]) == 2
    assert "--clear" in capsys.readouterr().err
    assert main(["cache", "--clear", "one", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["two"]
    assert main(["cache", "--clear", "three"]) == 2
    capsys.readouterr()
    assert main(["cache", "--clear"]) == 0
    said = capsys.readouterr()
    assert "0 decoded data sets" in said.out
    assert "MB are free again" in said.err
    assert (tmp_path / "one/rows/000.png").is_file()
