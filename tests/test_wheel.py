"""The wheel is all that is needed: it works in an empty environment without a network."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from medgen.checkpoint import bundled_models

ROOT = Path(__file__).parent.parent
SOURCES = ["medgen", "pyproject.toml", "README.md", "LICENSE", "NOTICE"]
NO_NETWORK = """
import socket

class Blocked(socket.socket):
    def __init__(self, *words, **more):
        raise OSError("no network in this test")

def blocked(*words, **more):
    raise OSError("no network in this test")

socket.socket = Blocked
socket.create_connection = socket.getaddrinfo = socket.gethostbyname = blocked
"""

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """Run without any way back to the source tree."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=clean,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel; its dependencies are those of the tests' own."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, source / name)
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, source]
    run(sys.executable, "-m", "pip", *build, cwd=folder)
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "env", symlinks=True)
    python = folder / "env" / "bin" / "python"
    install = ["--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    run(sys.executable, "-m", "pip", *install, cwd=folder)
    [site] = (folder / "env").glob("lib/python*/site-packages")
    # A path in a .pth file comes last, and no .pth file in it is read: an editable medgen is not.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    # Not `sitecustomize`: Debian's Python has one of its own, which comes first.
    (site / "no_network.py").write_text(NO_NETWORK)
    (site / "no_network.pth").write_text("import no_network\n")
    shutil.rmtree(source)
    return folder / "env"


def test_the_package_is_the_installed_one(environment: Path, tmp_path: Path) -> None:
    code = "import medgen; print(medgen.__file__)"
    found = run(environment / "bin" / "python", "-c", code, cwd=tmp_path)
    assert Path(found.strip()).is_relative_to(environment)


def test_the_network_is_really_blocked(environment: Path, tmp_path: Path) -> None:
    code = "import socket\ntry: socket.socket()\nexcept OSError as error: print(error)"
    assert "no network" in run(environment / "bin" / "python", "-c", code, cwd=tmp_path)


def test_the_licence_texts_are_inside(environment: Path) -> None:
    assert list(environment.glob("lib/python*/site-packages/medgen-*.dist-info/licenses/LICENSE"))
    assert list(environment.glob("lib/python*/site-packages/medgen-*.dist-info/licenses/NOTICE"))


def test_it_answers(environment: Path, tmp_path: Path) -> None:
    assert run(environment / "bin" / "medgen", "--version", cwd=tmp_path).startswith("medgen ")


@pytest.mark.parametrize("name", sorted(bundled_models()))
def test_the_models_are_inside_and_whole(name: str, environment: Path, tmp_path: Path) -> None:
    run(environment / "bin" / "medgen", "models", "show", name, cwd=tmp_path)


def test_it_translates_with_the_weights_inside_and_no_network(
    environment: Path, tmp_path: Path
) -> None:
    if "base" not in bundled_models():
        pytest.fail("no weights are bundled")
    shutil.copy(ROOT / "sample_data" / "head" / "t1.nii.gz", tmp_path)
    command = [environment / "bin" / "medgen", "translate", "t1.nii.gz", "--to", "ct"]
    assert run(*command, cwd=tmp_path).strip() == "t1_ct.nii.gz"
    assert {path.name for path in tmp_path.iterdir()} == {
        *("t1.nii.gz", "t1_ct.nii.gz", "t1_ct.json"),
    }
