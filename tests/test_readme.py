"""What the README tells people to type works, and every command is in the README."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from medgen.cli.app import VERBS, main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```[a-z]*\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
SESSIONS = [
    commands for block in BLOCKS if (commands := re.findall(r"^\$ (medgen .*)", block, re.M))
]


@pytest.mark.slow
@pytest.mark.parametrize("commands", SESSIONS, ids=lambda commands: shlex.split(commands[0])[1])
def test_a_session_runs_as_it_is_written(
    commands: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The commands of one code block follow each other in one folder."""
    shutil.copytree(ROOT / "sample_data", tmp_path / "sample_data")
    monkeypatch.chdir(tmp_path)
    for command in commands:
        assert main(shlex.split(command, comments=True)[1:]) == 0, (
            f"{command}: {capsys.readouterr().err}"
        )


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_is_shown(verb: str) -> None:
    assert any(command.startswith(f"medgen {verb}") for session in SESSIONS for command in session)


def test_every_make_target_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets


def test_every_picture_and_link_is_there() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if not target.startswith(("http", "#")):
            assert (ROOT / target).exists(), target
