"""The manifest: JSON Lines, one study a line, checked before anything is read."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from medgen.data.listing import COUNTERFACTUALS, FILES, LONGEST, MASKS, Listing, Problem, examine
from medgen.data.study import Study
from medgen.errors import InputError, OutputError
from medgen.io.atomic import atomic_file

MAX_LINE_BYTES = 1_000_000  # a study names a handful of files; more is damage or an attack
MAX_STUDIES = 1_000_000


def read_manifest(path: Path, *, allow_outside: bool = False) -> list[Study]:
    """Read every study of a manifest that has no problems.

    Args:
        path: The JSON Lines file; the paths in it are relative to its folder.
        allow_outside: Accept files outside the manifest's folder.

    Raises:
        InputError: If anything is wrong; names the first problem and how many there are.
    """
    return list_studies(path, allow_outside=allow_outside).without_problems(path)


def list_studies(path: Path, *, allow_outside: bool = False) -> Listing:
    """The studies of a manifest by line, and everything that is wrong with it.

    Raises:
        InputError: If the file itself cannot be read.
    """
    return examine(_entries(path), path.parent, allow_outside=allow_outside)


def names_in(path: Path) -> Iterator[str]:
    """The files that a manifest names, as problems call them; wrong lines count, too.

    Raises:
        InputError: If the manifest itself cannot be read.
    """
    for _, entry in _entries(path):
        if isinstance(entry, dict):
            values = (entry.get(word) for word, *_ in FILES)
            yield from (value[:LONGEST] for value in values if isinstance(value, str))


def write_manifest(studies: Iterable[Study], path: Path, *, overwrite: bool = False) -> None:
    """Write a manifest, whole or not at all, with paths relative to its folder.

    Raises:
        OutputError: If the file exists, cannot be written, or a study lies outside its folder.
    """
    folder = path.parent.resolve()
    lines = [json.dumps(_row(study, folder), ensure_ascii=False) + "\n" for study in studies]
    with atomic_file(path, overwrite=overwrite) as draft:
        draft.write_text("".join(lines), encoding="utf-8")


def _row(study: Study, folder: Path) -> dict[str, str]:
    files = {str(kind): file for kind, file in study.images.items()}
    if study.text:
        files["text"] = study.text
    if study.counterfactuals:
        files[COUNTERFACTUALS] = study.counterfactuals
    if study.masks:
        files[MASKS] = study.masks
    row = {"id": study.id, "patient": study.patient}
    for word, file in files.items():
        real = file.resolve()
        if not real.is_relative_to(folder):
            raise OutputError(f"{file}: is outside {folder}; write the manifest above its studies")
        row[word] = real.relative_to(folder).as_posix()
    return row | ({"split": str(study.split)} if study.split else {})


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines by number, from 1; one that is too long is cut one byte over MAX_LINE_BYTES.

    Raises:
        InputError: If the file cannot be read, or has more than MAX_STUDIES lines.
    """
    try:
        with path.open("rb") as file:
            for line in range(1, MAX_STUDIES + 1):
                raw = file.readline(MAX_LINE_BYTES + 1)
                if not raw:
                    return
                rest = raw
                while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                    rest = file.readline(MAX_LINE_BYTES + 1)
                yield line, raw
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    raise InputError(f"{path}: has more than {MAX_STUDIES} lines; split it")


def values_of(path: Path) -> Iterator[tuple[int, object]]:
    """What the lines of a JSON Lines file say, by number; blank ones say nothing.

    Raises:
        InputError: If the file cannot be read, or a line is not JSON; names the line.
    """
    for line, value in _entries(path):
        if isinstance(value, Problem):
            raise InputError(f"{path}:{line}: {value.message}")
        yield line, value


def parse_json(raw: bytes) -> object:
    """Read one JSON value in UTF-8.

    Raises:
        ValueError: If it is none, is nested too deeply, or a key stands twice in an object.
    """
    try:
        return json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _entries(path: Path) -> Iterator[tuple[int, object]]:
    """What the lines of a manifest say; blank ones say nothing."""
    for line, raw in lines_of(path):
        if not raw.strip():
            continue
        if len(raw) > MAX_LINE_BYTES:
            yield line, Problem(line, "", f"is longer than {MAX_LINE_BYTES} bytes")
            continue
        try:
            yield line, parse_json(raw)
        except ValueError:
            message = "is not one JSON object in UTF-8 with each key once"
            yield line, Problem(line, "", message)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(pairs) > len(dict(pairs)):
        raise ValueError("a key stands twice")
    return dict(pairs)
