"""The set-up: pyproject, lock, conda environment and versions agree; the code is tidy."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler import MatchSpec

from imgclf_lib import __version__

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
CONDA_NAMES = {"matplotlib-base": "matplotlib"}
FROM_PIP = {"keras", "tyro"}  # too new, or missing, on the conda side


def requirements(*extras: str) -> dict[str, Requirement]:
    listed = list(PROJECT["dependencies"])
    for extra in extras:
        listed += PROJECT["optional-dependencies"][extra]
    return {canonicalize_name(each.name): each for each in map(Requirement, listed)}


def locked() -> dict[str, list[str]]:
    versions: dict[str, list[str]] = {}
    for name, version in re.findall(
        r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", (ROOT / "requirements.lock").read_text(), re.M
    ):
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


def test_lock_holds_every_requirement_in_its_range() -> None:
    versions = locked()
    for name, requirement in requirements("cpu", "test").items():
        assert name in versions, f"run make lock: {name} is not locked"
        for version in versions[name]:
            assert requirement.specifier.contains(version), f"run make lock: {name} {version}"


def test_lock_hashes_everything_and_names_no_index() -> None:
    text = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.M)[1:]
    assert len(entries) > 100
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "index" not in re.sub(r"#.*", "", text)


def test_conda_specs_are_valid_and_agree_with_pyproject() -> None:
    wanted = {name: each for name, each in requirements().items() if name not in FROM_PIP}
    found = {}
    for spec in (each for each in CONDA if isinstance(each, str)):
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*(>=[0-9.]+)?", spec), spec
        parsed = MatchSpec(spec)
        name = parsed.name.normalized if hasattr(parsed.name, "normalized") else str(parsed.name)
        found[CONDA_NAMES.get(name, name)] = spec
    assert found.pop("python") == "python" + PROJECT["requires-python"]
    assert found.pop("pip") == "pip"
    assert found.keys() == wanted.keys()
    for name, spec in found.items():
        assert spec.split(">=")[1] == str(wanted[name].specifier).removeprefix(">="), name


@pytest.mark.course
def test_pip_section_of_the_conda_environment_installs(tmp_path: Path) -> None:
    [section] = [each["pip"] for each in CONDA if isinstance(each, dict)]
    words = [word for line in section for word in line.split()]
    uv = [sys.executable, "-m", "uv"]
    python = str(tmp_path / "env" / "bin" / "python")
    subprocess.run([*uv, "venv", "--quiet", str(tmp_path / "env")], check=True)
    install = [*uv, "pip", "install", "--quiet", "--python", python, *words]
    installed = subprocess.run(install, check=False, cwd=ROOT, capture_output=True, text=True)
    if "error sending request" in installed.stderr:
        pytest.skip("no network: the pip section of environment.yml was not installed")
    assert installed.returncode == 0, installed.stderr
    code = "import imgclf_lib, keras, json; print(json.dumps([imgclf_lib.__version__]))"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == [__version__]


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_keras_is_new_enough_to_load_models_of_others_safely() -> None:
    assert requirements()["keras"].specifier.contains("3.15.0")
    assert not requirements()["keras"].specifier.contains("3.13.2")


@pytest.mark.parametrize(
    "command", [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]], ids=" ".join
)
def test_code_is_clean(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
