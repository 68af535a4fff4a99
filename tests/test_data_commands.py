"""``imgclf audit`` and ``imgclf cache``, as a user types them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from imgclf_lib.cli import main


def imgclf(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "imgclf_lib", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | variables,
    )


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


def test_the_summary_for_people(folder):
    done = imgclf("audit", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("my shapes: 73 files, 71 accepted, 2 rejected\n")
    assert "\x1b" not in done.stdout + done.stderr
    assert r"猫 <b>$x$\x1b[31m\n" in done.stdout
    assert "Traceback" not in done.stderr


def test_json_is_all_of_standard_output(folder):
    done = imgclf("audit", folder, "--json")
    assert done.returncode == 0
    said = json.loads(done.stdout)
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


def test_strict_says_no_on_errors_and_warnings_alone(folder, images, tmp_path):
    assert imgclf("audit", folder, "--strict").returncode == 1
    assert imgclf("audit", images, "--strict").returncode == 0
    mild = shutil.copytree(images, tmp_path / "mild")
    (mild / "blob/notes.txt").write_text("hello")
    done = imgclf("audit", mild, "--strict")
    assert done.returncode == 0
    assert "unknown extension" in done.stdout


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


def test_a_folder_without_any_usable_image(tmp_path):
    (tmp_path / "data/cat").mkdir(parents=True)
    (tmp_path / "data/cat/1.jpg").write_bytes(b"")
    done = imgclf("audit", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert "1 file, 0 accepted, 1 rejected" in done.stdout
    assert imgclf("audit", tmp_path / "data", "--strict").returncode == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "no data set"),
        (["fashion_mnist", "--fixes", "nowhere.csv"], "nowhere.csv"),
        ([".", "--group", "("], "group"),
        ([".", "--class_folders", "deep"], "class_folders"),
        ([".", "--image_size", "-3"], "image_size"),
        ([], "required"),
    ],
)
def test_bad_input_is_one_message(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.txt").write_text("x")
    assert main(["audit", *words]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


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
