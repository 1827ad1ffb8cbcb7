"""A config is the last word of each source, and a word that nobody knows is an error."""

import dataclasses
import json
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest

from medgen.config import config_hash, from_mapping, parse_setting, resolve, to_mapping
from medgen.errors import UsageError


class Engine(StrEnum):
    REGRESS = "regress"
    DIFFUSE = "diffuse"


@dataclasses.dataclass(frozen=True)
class Net:
    widths: tuple[int, ...] = (8, 16)
    dropout: float = 0.0


@dataclasses.dataclass(frozen=True)
class Task:
    steps: int = 1
    engine: Engine = Engine.REGRESS
    net: Net = Net()
    overlap: float | None = None
    mode: Literal["fast", "exact"] = "fast"
    out: Path | None = None
    window: tuple[float, float] = (-1024.0, 3071.0)
    nets: dict[str, Net] = dataclasses.field(default_factory=dict)
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


FULL = Task(
    steps=4,
    engine=Engine.DIFFUSE,
    net=Net((1, 2, 3), 0.5),
    overlap=0.25,
    mode="exact",
    out=Path("a b/ü.nii"),
    nets={"big one": Net((64,))},
    extra={"note": 'quote " and \\ and \n', "list": [{"a": 1}, {"b": [1.5, True]}]},
)


def test_each_source_beats_the_ones_before_it(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("steps = 3\noverlap = 0.3\nmode = 'exact'\n[net]\ndropout = 0.3\n")
    config = resolve(
        Task,
        preset={"steps": 2, "overlap": 0.2, "net": {"widths": [2], "dropout": 0.2}, "out": "p"},
        file=file,
        settings=["overlap=0.4", "net.dropout=0.4"],
        flags={"steps": 5, "overlap": None},
    )
    assert config == Task(steps=5, overlap=0.4, mode="exact", net=Net((2,), 0.4), out=Path("p"))


def test_no_source_leaves_the_defaults() -> None:
    assert resolve(Task) == Task()


def test_a_table_keeps_what_its_owner_says_by_default() -> None:
    """Not what its own class would say, nor is what only the owner knows missing."""

    @dataclasses.dataclass(frozen=True)
    class Fit:
        steps: int
        rate: float = 1.0

    @dataclasses.dataclass(frozen=True)
    class Owner:
        fit: Fit = dataclasses.field(default_factory=lambda: Fit(steps=9, rate=0.5))

    assert resolve(Owner, flags={"fit": {"rate": 0.1}}).fit == Fit(9, 0.1)
    assert resolve(Owner, settings=["fit.steps=3"]).fit == Fit(3, 0.5)


def test_written_and_read_again_is_the_same() -> None:
    assert from_mapping(Task, json.loads(json.dumps(to_mapping(FULL)))) == FULL


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stepz": 1}, "'stepz' is not a setting of Task; did you mean 'steps'"),
        ({"qqqq": 1}, "known: steps, engine"),
        ({"net": {"width": [1]}}, "config: net: 'width' is not a setting of Net; did you mean"),
        ({"steps": "many"}, "steps is 'many'; expected a whole number"),
        ({"steps": True}, "expected a whole number"),
        ({"steps": 1.5}, "expected a whole number"),
        ({"overlap": True}, "expected a number"),
        ({"engine": "guess"}, "engine is 'guess'; expected one of regress, diffuse"),
        ({"mode": "slow"}, "expected one of fast, exact"),
        ({"window": [1.0]}, "window is [1.0]"),
        ({"net": {"widths": [1, "x"]}}, "net: widths[1] is 'x'"),
        ({"nets": {"a": {"wdths": []}}}, "nets.a: 'wdths'"),
        ({"steps": None}, "steps is None"),
        ({"overlap": float("nan")}, "overlap is nan; expected a finite number"),
        ({"window": [0.0, float("inf")]}, "window[1] is inf; expected a finite number"),
    ],
)
def test_mistakes_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        from_mapping(Task, values)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_mistake_names_its_source(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("stpes = 3")
    with pytest.raises(UsageError, match=r"mine\.toml: 'stpes'"):
        resolve(Task, file=file)
    with pytest.raises(UsageError, match=r"^--set: 'stpes'"):
        resolve(Task, settings=["stpes=3"])


def test_a_missing_value_is_named() -> None:
    @dataclasses.dataclass(frozen=True)
    class Needy:
        name: str

    with pytest.raises(UsageError, match="'name' of Needy is missing"):
        from_mapping(Needy, {})


@pytest.mark.parametrize("text", ["a = ", "[1", "\xff", "a = 1\na = 2"])
def test_a_broken_file_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"c\.toml: is not valid TOML") as error:
        resolve(Task, file=file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        resolve(Task, file=tmp_path / name)


def test_json_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("[1]")
    with pytest.raises(UsageError, match="must hold a table"):
        resolve(Task, file=tmp_path / "c.json")


@pytest.mark.parametrize("setting", ["steps", "=3", "net.=3"])
def test_a_setting_without_key_or_value_is_refused(setting: str) -> None:
    with pytest.raises(UsageError, match="write key=value"):
        parse_setting(setting)


def test_text_in_a_setting_needs_no_quotes() -> None:
    assert parse_setting("mode=exact") == {"mode": "exact"}
    assert parse_setting("a=b=c") == {"a": "b=c"}


def test_the_hash_depends_on_values_only() -> None:
    same = resolve(Task, settings=["overlap=0.5"]), resolve(Task, flags={"overlap": 0.5})
    assert config_hash(same[0]) == config_hash(same[1]) != config_hash(Task())
