"""Commands of a chain run one after the other, chains side by side, and a failure ends its own."""

from pathlib import Path

from benchmarks.chains import Line, run_chains


def writing(path: Path, *needed: Path) -> Line:
    """A command that writes a file if others are there."""
    return [
        "-c",
        f"import pathlib\nfor p in {[*map(str, needed)]}: open(p)\nopen({str(path)!r}, 'w')",
    ]


def test_each_command_finds_what_the_one_before_made(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    assert run_chains([[writing(one), writing(two, one)], [writing(other)]]) == 0
    assert two.exists()
    assert other.exists()


def test_a_failure_ends_its_chain_and_is_told(tmp_path: Path) -> None:
    other, never = tmp_path / "other", tmp_path / "never"
    fails = ["-c", "raise SystemExit(7)"]
    assert run_chains([[fails, writing(never)], [writing(other)]]) == 7
    assert other.exists()
    assert not never.exists()


def test_side_by_side_each_has_one_thread() -> None:
    check = ["-c", "import os, sys; sys.exit(os.environ.get('OMP_NUM_THREADS') != '1')"]
    assert run_chains([[check], [check]]) == 0
