"""Frozen dataclasses from TOML, JSON, `--set` and flags; a word nobody knows is an error."""

import dataclasses
import difflib
import hashlib
import json
import math
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from medgen.errors import UsageError

T = TypeVar("T")
SCALARS = (int, float, str, bool, types.NoneType)  # of JSON


def check_parts(name: str, parts: int, widths: Sequence[int]) -> None:
    """Refuse widths that cannot be split into so many equal parts.

    Args:
        name: Of the setting that says how many, such as `heads`.
        parts: How many.
        widths: What is split.

    Raises:
        UsageError: If one of them is left with a rest, or a number is not positive.
    """
    for width in widths:
        if parts < 1 or width < 1 or width % parts:
            raise UsageError(f"{name} {parts}: does not divide a width of {width}; choose others")


def check_least(config: Any, least: float, *names: str) -> None:
    """Refuse settings that are too small, alone or one of several; of several there must be one.

    Args:
        config: A dataclass of settings.
        least: What each may be at least.
        names: Of the settings: numbers, or tuples of them.

    Raises:
        UsageError: If one is below, or no number.

    Example:
        >>> check_least(types.SimpleNamespace(widths=(16, 0)), 1, "widths")
        Traceback (most recent call last):
        medgen.errors.UsageError: widths (16, 0): choose 1 or more
    """
    for name in names:
        value = getattr(config, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if not numbers or not all(number >= least for number in numbers):
            raise UsageError(f"{name} {value}: choose {least:g} or more")


def check_once(config: Any, *names: str) -> None:
    """Refuse settings that name something twice.

    Args:
        config: A dataclass of settings.
        names: Of the settings: tuples of words.

    Raises:
        UsageError: If one holds a word twice.

    Example:
        >>> check_once(types.SimpleNamespace(kinds=("ct", "ct")), "kinds")
        Traceback (most recent call last):
        medgen.errors.UsageError: kinds ct, ct: name each once
    """
    for name in names:
        words = getattr(config, name)
        if len(set(words)) < len(words):
            raise UsageError(f"{name} {', '.join(words)}: name each once")


def resolve(
    kind: type[T],
    *,
    preset: Mapping[str, Any] | None = None,
    file: Path | None = None,
    settings: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> T:
    """One config from all its sources; the later ones win.

    The order is: the dataclass's defaults, the preset, the config file, `--set`, the flags.

    Args:
        kind: The frozen dataclass to build.
        preset: Values that belong to a name such as `tiny`.
        file: What `--config` names: `.toml` or `.json`.
        settings: What `--set` was given: `key=value`, with dots into nested tables.
        flags: Options typed by a person; None means "not typed".

    Raises:
        UsageError: If a source has an unknown key or an impossible value; names source and key.
    """
    sources = [
        ("preset", preset or {}),
        (str(file), read_mapping(file) if file else {}),
        *(("--set", parse_setting(setting)) for setting in settings),
        ("options", {key: value for key, value in (flags or {}).items() if value is not None}),
    ]
    merged: dict[str, Any] = {}
    for origin, values in sources:
        _merge(merged, _converted(kind, values, origin))
    return _built(kind, merged, "config")


def from_mapping(kind: type[T], values: Mapping[str, Any], *, origin: str = "config") -> T:
    """Build a dataclass, nested ones included, from what TOML or JSON says.

    Raises:
        UsageError: If a key is unknown or missing, or a value has the wrong type or is not finite.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Walk:
        ...     steps: int = 8
        >>> from_mapping(Walk, {"stpes": 4})
        Traceback (most recent call last):
        medgen.errors.UsageError: config: 'stpes' is not a setting of Walk; did you mean 'steps'?
    """
    return _built(kind, _converted(kind, values, origin), origin)


def to_mapping(config: Any) -> dict[str, Any]:
    """A dataclass as TOML and JSON can hold it: enums and paths as text, tuples as lists."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return dict(zip(values, _each_plain(values.values()), strict=True))


def config_hash(config: Any) -> str:
    """SHA-256 of the values of a config; the same whatever their order or source."""
    text = json.dumps(to_mapping(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a `.toml` or `.json` file.

    Raises:
        UsageError: If it cannot be read, or does not hold one table.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # JSON, TOML and UTF-8 errors are all ValueErrors
        fault = str(error).splitlines()[0]
        language = "JSON" if path.suffix == ".json" else "TOML"
        raise UsageError(f"{path}: is not valid {language}: {fault}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path}: must hold a table of settings")
    return values


def parse_setting(setting: str) -> dict[str, Any]:
    """Read `key=value`; the value as TOML if it is TOML, else as plain text.

    Example:
        >>> parse_setting("unet.widths=[32, 64]"), parse_setting("name=base")
        ({'unet': {'widths': [32, 64]}}, {'name': 'base'})
    """
    key, equals, text = setting.partition("=")
    if not equals or not all(key.split(".")):
        raise UsageError(f"--set {setting}: write key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def _merge(base: dict[str, Any], other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        else:
            base[key] = value


def _converted(kind: Any, values: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Check keys and convert values; nested dataclasses stay dicts so that they can be merged."""
    hints = _hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(str(key), names, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names)}"
            raise UsageError(f"{origin}: '{key}' is not a setting of {kind.__name__}; {hint}")
    return {key: _convert(hints[key], value, f"{origin}: {key}") for key, value in values.items()}


def _built(kind: Any, values: Mapping[str, Any], origin: str, basis: Any = None) -> Any:
    """A dataclass from values; what they leave out is the basis's, if there is one."""
    hints = _hints(kind)
    ready = {}
    for field in dataclasses.fields(kind):
        inner = _dataclass_in(hints[field.name])
        default = _default(field) if basis is None else getattr(basis, field.name)
        if field.name in values:
            value = values[field.name]
            is_table = inner and isinstance(value, dict)
            known = default if inner and isinstance(default, inner) else None
            ready[field.name] = _built(inner, value, origin, known) if is_table else value
        elif default is dataclasses.MISSING:
            raise UsageError(f"{origin}: '{field.name}' of {kind.__name__} is missing")
        else:
            ready[field.name] = default
    return kind(**ready)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields."""
    return typing.get_type_hints(kind)


def _default(field: Any) -> Any:
    """What a field is when nobody says anything; MISSING if somebody must."""
    factory = field.default_factory
    return field.default if factory is dataclasses.MISSING else factory()


@cache
def _dataclass_in(hint: Any) -> Any:
    """The dataclass a hint stands for, through `| None`; None if it is something else."""
    choices = [hint, *typing.get_args(hint)] if _is_union(hint) else [hint]
    return next((choice for choice in choices if _is_dataclass(choice)), None)


@cache
def _is_dataclass(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


@cache
def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Give a value the type its field asks for, or say what was expected."""
    if hint is Any:
        return value
    is_class = isinstance(hint, type) and not typing.get_origin(hint)
    is_bool_as_number = hint in (int, float) and isinstance(value, bool)
    if hint is float and isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} is {value}; expected a finite number")
    if is_class and isinstance(value, hint) and not is_bool_as_number:
        return value
    if _is_dataclass(hint) and isinstance(value, Mapping):
        return _converted(hint, value, where)
    if hint is float and isinstance(value, int) and not is_bool_as_number:
        return float(value)
    if isinstance(hint, type) and issubclass(hint, (Enum, Path)) and isinstance(value, str):
        return _from_text(hint, value, where)
    if _is_union(hint):
        return _convert_union(typing.get_args(hint), value, where)
    if typing.get_origin(hint) is typing.Literal and value in typing.get_args(hint):
        return value
    return _convert_many(hint, value, where)


def _from_text(hint: Any, value: str, where: str) -> Any:
    try:
        return hint(value)
    except ValueError:
        known = ", ".join(str(choice.value) for choice in hint)
        raise UsageError(f"{where} is '{value}'; expected one of {known}") from None


def _convert_union(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and types.NoneType in choices:
        return None
    choices = tuple(choice for choice in choices if choice is not types.NoneType)
    for choice in choices[:-1]:
        try:
            return _convert(choice, value, where)
        except UsageError:
            continue
    return _convert(choices[-1], value, where)


def _convert_many(hint: Any, value: Any, where: str) -> Any:
    """Tuples, lists and dicts of something; whatever else arrives here does not fit."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (tuple, list) and isinstance(value, (tuple, list)):
        is_open = origin is list or inner[-1] is Ellipsis
        hints = [inner[0]] * len(value) if is_open else list(inner)
        if len(hints) == len(value):
            pairs = enumerate(zip(hints, value, strict=True))
            return origin(_whole(h, v, f"{where}[{index}]") for index, (h, v) in pairs)
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        return {k: _whole(inner[1], v, f"{where}.{k}") for k, v in value.items()}
    raise UsageError(f"{where} is {value!r}; expected {_words(hint)}")


def _whole(hint: Any, value: Any, where: str) -> Any:
    """Convert an element; unlike a field it is replaced, never merged, so it is built at once."""
    converted = _convert(hint, value, where)
    inner = _dataclass_in(hint)
    return _built(inner, converted, where) if inner and isinstance(converted, dict) else converted


def _words(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names.get(hint) or getattr(hint, "__name__", str(hint)).replace("typing.", "")


def _plain(value: Any) -> Any:
    kind: Any = type(value)
    if _is_dataclass(kind):
        return to_mapping(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(zip(map(str, value), _each_plain(value.values()), strict=True))
    if isinstance(value, (tuple, list)):
        return _each_plain(value)
    return value if isinstance(value, SCALARS) else str(value)


def _each_plain(values: Iterable[Any]) -> list[Any]:
    """Most are as they should be: a call for each would take most of the time of reading a card."""
    return [one if type(one) in SCALARS else _plain(one) for one in values]
