"""The list of studies: JSON Lines, one study a line, checked before anything is read."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from medgen.data.study import Split, Study
from medgen.errors import InputError, OutputError
from medgen.io.atomic import atomic_file
from medgen.modality import WORDS, Kind

MAX_LINE_BYTES = 1_000_000  # a study names a handful of files; more is damage or an attack
MAX_STUDIES = 1_000_000
IMAGE_WORDS = [word for word in WORDS if word != "text"]


class Row(BaseModel):
    """One line, as it stands in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str = Field(pattern=r"^\w[\w.\-]*$", max_length=128)
    patient: str = Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=128)
    text: str | None = None
    xray: str | None = None
    ct: str | None = None
    mri: str | None = None
    mri_t1: str | None = Field(None, alias="mri:t1")
    mri_t2: str | None = Field(None, alias="mri:t2")
    mri_flair: str | None = Field(None, alias="mri:flair")
    mri_pd: str | None = Field(None, alias="mri:pd")
    split: str | None = Field(None, pattern=f"^({'|'.join(Split)})$")


@dataclass(frozen=True)
class Problem:
    """Something wrong with a manifest.

    Attributes:
        line: Line of the file, from 1; 0 is the file as a whole.
        field: Which key of the line; empty where it is the line as a whole.
        message: What is wrong, and what to do.
    """

    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.field}: {self.message}" if self.field else f"{where}{self.message}"


class _BadLineError(Exception):
    """A line that says nothing usable; carries all its problems."""

    def __init__(self, *problems: tuple[str, str]) -> None:
        self.problems = problems


def read_manifest(path: Path, *, allow_outside: bool = False) -> list[Study]:
    """Read every study of a manifest that has no problems.

    Args:
        path: The JSON Lines file; the paths in it are relative to its folder.
        allow_outside: Accept files outside the manifest's folder.

    Raises:
        InputError: If anything is wrong; names the first problem and how many there are.
    """
    studies, problems = _examine(path, allow_outside)
    if problems:
        more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise InputError(f"{path}: {problems[0]}{more}; `medgen info` lists all of them")
    return list(studies.values())


def check_manifest(path: Path, *, allow_outside: bool = False) -> list[Problem]:
    """Everything that is wrong with a manifest, in the order of its lines.

    Raises:
        InputError: If the file itself cannot be read.
    """
    return _examine(path, allow_outside)[1]


def readable_studies(path: Path, *, allow_outside: bool = False) -> dict[int, Study]:
    """The studies whose own line is right, by line number, whatever is wrong with the others."""
    return _examine(path, allow_outside)[0]


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
    row = {"id": study.id, "patient": study.patient}
    for word, file in files.items():
        if not file.resolve().is_relative_to(folder):
            raise OutputError(f"{file}: is outside {folder}; write the manifest above its studies")
        row[word] = file.resolve().relative_to(folder).as_posix()
    return row | ({"split": str(study.split)} if study.split else {})


def _examine(path: Path, allow_outside: bool) -> tuple[dict[int, Study], list[Problem]]:
    """Studies by line number, and the problems of all lines."""
    studies: dict[int, Study] = {}
    problems: list[Problem] = []
    for line, raw in _lines(path):
        try:
            studies[line] = _parse(raw, path.parent, allow_outside)
        except _BadLineError as error:
            problems += [Problem(line, field, message) for field, message in error.problems]
    problems += _contradictions(studies)
    if not studies and not problems:
        problems.append(Problem(0, "", "has no studies"))
    return studies, sorted(problems, key=lambda problem: problem.line)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, by number; one that is too long is cut one byte over the limit."""
    try:
        with path.open("rb") as file:
            for line in range(1, MAX_STUDIES + 1):
                raw = file.readline(MAX_LINE_BYTES + 1)
                if not raw:
                    return
                rest = raw
                while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                    rest = file.readline(MAX_LINE_BYTES + 1)
                if raw.strip():
                    yield line, raw
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    raise InputError(f"{path}: has more than {MAX_STUDIES} lines; split it")


def _parse(raw: bytes, folder: Path, allow_outside: bool) -> Study:
    row = _row_of(raw)
    named = {word: getattr(row, word.replace(":", "_")) for word in [*IMAGE_WORDS, "text"]}
    files, problems = {}, []
    for word, name in named.items():
        if name is not None:
            fault = _fault(name, folder, allow_outside)
            files[word] = folder / name if fault is None else folder
            problems += [(word, fault)] if fault else []
    if not files:
        problems.append(("", f"names no file; add one of {', '.join(WORDS)}"))
    if problems:
        raise _BadLineError(*problems)
    images = {Kind.parse(word): file for word, file in files.items() if word != "text"}
    split = Split(row.split) if row.split else None
    return Study(row.id, row.patient, images, files.get("text"), split)


def _row_of(raw: bytes) -> Row:
    if len(raw) > MAX_LINE_BYTES:
        raise _BadLineError(("", f"is longer than {MAX_LINE_BYTES} bytes"))
    try:
        return Row.model_validate(json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_once))
    except ValidationError as error:
        raise _BadLineError(*map(_explain, error.errors())) from None
    except (ValueError, RecursionError):
        raise _BadLineError(("", "is not one JSON object in UTF-8 with each key once")) from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(pairs) > len(dict(pairs)):
        raise ValueError("a key stands twice")
    return dict(pairs)


def _explain(error: ErrorDetails) -> tuple[str, str]:
    """Pydantic's words in ours; never the value, which may name a patient."""
    where, kind, message = error["loc"], error["type"], error["msg"]
    field = str(where[0])[:40] if where else ""
    if kind == "extra_forbidden":
        return ascii(field)[
            1:-1
        ], f"is not a known key; known: id, patient, split, {', '.join(WORDS)}"
    if kind == "missing":
        return field, "is missing"
    return field, message[0].lower() + message[1:]


def _fault(name: str, folder: Path, allow_outside: bool) -> str | None:
    """Why a file named in a manifest must not or cannot be opened; None if it can."""
    if not name or not name.isprintable():
        return "is empty or has control characters"
    if name.startswith("~") or "://" in name:
        return "must be a plain path, not a URL and not '~'"
    if allow_outside:
        return None if _exists(folder / name) else f"no such file: '{name[:200]}'"
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return "must stay inside the manifest's folder: no absolute path and no '..'"
    try:
        is_inside = (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a loop of links
        is_inside = False
    if not is_inside:
        return "leads out of the manifest's folder through a link"
    return None if _exists(folder / name) else f"no such file: '{name[:200]}'"


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:  # a name that is too long
        return False


def _contradictions(studies: dict[int, Study]) -> Iterator[Problem]:
    """What only shows when lines are compared; each names the earlier line."""
    ids: dict[str, int] = {}
    splits: dict[str, int] = {}
    owners: dict[Path, int] = {}
    for line, study in studies.items():
        first = ids.setdefault(study.id, line)
        if first != line:
            yield Problem(line, "id", f"is the id of line {first} too")
        first = splits.setdefault(study.patient, line)
        if studies[first].split != study.split:
            yield Problem(line, "split", f"the same patient is in another split on line {first}")
        for file in map(Path.resolve, study.files):
            first = owners.setdefault(file, line)
            if studies[first].patient != study.patient:
                yield Problem(line, "patient", f"a file of line {first} belongs to another patient")
