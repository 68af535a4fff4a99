"""The commands, as a user types them: real processes, real runs, real exit codes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgclf_lib.cli import COMMANDS, HELP, main

QUICK = ["--filters", "8", "--dense_units", "16", "--batch_size", "16", "--learning_rate", "0.01"]


def imgclf(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "imgclf_lib", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_help_names_every_command_and_is_quick() -> None:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        done = imgclf("--help")
        times.append(time.perf_counter() - started)
        assert done.returncode == 0
        assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert min(times) < 0.3


def test_help_loads_no_framework_and_no_parser() -> None:
    code = (
        "import sys; from imgclf_lib.cli import main; main(['--help']);"
        "print([m for m in ('keras','tensorflow','torch','pandas','tyro') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_examples(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: imgclf {command}" in shown
    assert "example" in shown
    assert f"imgclf {command}" in shown.split("example", 1)[1]


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == HELP


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


def test_train_evaluate_predict(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
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


def test_small_pictures_are_told_of_the_fast_preset(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--data", str(images), *QUICK, "--epochs", "1", "--out", str(tmp_path)]
    for more, told in (([], True), (["--json"], False), (["--preset", "linear"], False)):
        assert main([*words[:-1], str(tmp_path / str(len(more))), *more]) == 0
        shown = capsys.readouterr()
        assert ("--preset fast" in shown.err) == told
        assert "--preset fast" not in shown.out


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
}


@pytest.mark.parametrize(("line", "named"), BAD.values(), ids=BAD)
def test_bad_input_is_one_message_and_writes_nothing(
    line: str, named: str, images: Path, tmp_path: Path
) -> None:
    places = {"empty": tmp_path / "empty", "single": tmp_path / "single", "good": images}
    places["empty"].mkdir()
    source = next(images.rglob("*.png"))
    (places["single"] / "only").mkdir(parents=True)
    (places["single"] / "only" / "1.png").write_bytes(source.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    environment = {
        **os.environ,
        "IMGCLF_MODELS": str(tmp_path / "models"),
        "IMGCLF_CACHE": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "imgclf_lib", *line.format(**places).split()],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_reader_that_stops_early_is_no_error() -> None:
    command = f"{sys.executable} -m imgclf_lib train --help | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: imgclf train")
    assert done.stderr == ""


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
