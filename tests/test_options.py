"""Every option says what it does, and does it."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medgen.cli import app

ROOT = Path(__file__).parent.parent
OF_OTHERS = {"--help", "--raw", "--only"}  # of Click, of gdcmconv, of the benchmarks
BUILT_IN = {"help", "install_completion", "show_completion"}
# Each command says what it writes, counts, reads, and takes or makes together.
OWN = {
    "-o",
    "--out",
    "--steps",
    "--labels",
    "--masks",
    "--with",
    "--from",
    "--preview",
    "-n",
    "--number",
    "--size",
    "--engine",
}


def commands() -> Iterator[tuple[str, Any]]:
    yield "medgen", app.command()
    yield from app.Verbs().items()


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    for param in COMMANDS[name].params:
        assert param.help, f"{name}: {param.name} has no help"
        assert param.help.strip().endswith((".", ")")), f"{name}: {param.name}: {param.help}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name: str) -> None:
    assert COMMANDS[name].help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_is_used(name: str) -> None:
    """A parameter that the body never reads is an option that is parsed and ignored."""
    function = inspect.unwrap(COMMANDS[name].callback)
    [definition] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    read = {
        node.id for part in definition.body for node in ast.walk(part) if isinstance(node, ast.Name)
    }
    for param in COMMANDS[name].params:
        if param.expose_value and param.name not in BUILT_IN:
            # `--version` acts in its own callback, before the body runs.
            acts_itself = param.is_eager and param.name == "version"
            assert param.name in read or acts_itself, f"{name}: {param.name} is never used"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_flag_means_the_same_everywhere(name: str) -> None:
    """The same spelling has the same help in every command, so it comes from one place."""
    shared = {
        option: param.help
        for other in COMMANDS.values()
        for param in other.params
        for option in param.opts
        if option.startswith("-")
    }
    for param in COMMANDS[name].params:
        for option in set(param.opts) - OWN:
            assert param.help == shared.get(option, param.help), f"{name} {option}"


def test_every_option_that_is_named_is_there() -> None:
    """Errors say what to do about them: an option that nobody has would be no remedy."""
    known = {
        word
        for command in COMMANDS.values()
        for param in command.params
        for word in (*param.opts, *param.secondary_opts)
    }
    for path in [ROOT / "README.md", *(ROOT / "medgen").rglob("*.py")]:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", path.read_text(encoding="utf-8")))
        assert named <= known | OF_OTHERS, path
