"""What a list of studies may say, whatever file it comes from, and what is wrong with one."""

import gc
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from medgen.data.places import NOWHERE, Place, Places
from medgen.data.study import Split, Study
from medgen.errors import InputError
from medgen.modality import WORDS, Kind

IMAGE_WORDS = [word for word in WORDS if word != "text"]
COUNTERFACTUALS, MASKS = "counterfactuals", "masks"
FILES = [  # key and attribute of what names a file, and which kind of image it is
    (word, word.replace(":", "_"), Kind.parse(word) if word in IMAGE_WORDS else None)
    for word in (*IMAGE_WORDS, "text", COUNTERFACTUALS, MASKS)
]
LONGEST = 200  # characters of a file's name that are told
KEYS = ("id", "patient", "split", *WORDS, COUNTERFACTUALS, MASKS)
ODD = re.compile(r"^[~/\\]|\.\.|:")  # what a name must have to be looked at more closely


class Row(BaseModel):
    """One entry, by the keys that a manifest has."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str = Field(pattern=r"^\w[\w.\-]*$", max_length=128)
    patient: str = Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=128)
    text: str | None = None
    xray: str | None = None
    xray_lateral: str | None = Field(None, alias="xray:lateral")
    ct: str | None = None
    mri: str | None = None
    mri_t1: str | None = Field(None, alias="mri:t1")
    mri_t2: str | None = Field(None, alias="mri:t2")
    mri_flair: str | None = Field(None, alias="mri:flair")
    mri_pd: str | None = Field(None, alias="mri:pd")
    counterfactuals: str | None = None
    masks: str | None = None
    split: str | None = Field(None, pattern=f"^({'|'.join(Split)})$")


@dataclass(frozen=True)
class Problem:
    """Something wrong with a list of studies.

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


@dataclass(frozen=True)
class Listing:
    """What a list of studies says, and what is wrong with it.

    Attributes:
        studies: Those whose own line is right, by line, whatever is wrong with the others.
        problems: All that is wrong, by line.
    """

    studies: dict[int, Study]
    problems: tuple[Problem, ...]

    def without_problems(self, path: Path) -> list[Study]:
        """Every study, or an error that says where the list is wrong.

        Args:
            path: Where the list came from.

        Raises:
            InputError: If anything is wrong; names the first problem and how many there are.
        """
        if self.problems:
            count = len(self.problems) - 1
            others = "1 more problem" if count == 1 else f"{count} more problems"
            more = f" (and {others}; `medgen info` lists all of them)" if count else ""
            raise InputError(f"{path}: {self.problems[0]}{more}")
        return list(self.studies.values())


class _BadLineError(Exception):
    """A line that says nothing usable; carries all its problems."""

    def __init__(self, *problems: tuple[str, str]) -> None:
        self.problems = problems


def examine(
    entries: Iterable[tuple[int, object]],
    folder: Path,
    *,
    allow_outside: bool = False,
    place: Callable[[int], str] = "line {}".format,
) -> Listing:
    """Check the entries of a list, whatever kind of file they came from.

    Args:
        entries: Number and content of each, one after another: a mapping of the manifest's keys,
            or the Problem that kept it from being read.
        folder: What their paths are relative to.
        allow_outside: Accept files outside the folder.
        place: What an entry is called where another one contradicts it.
    """
    root = None if allow_outside else os.path.realpath(folder).rstrip(os.sep) + os.sep
    places = Places()
    studies: dict[int, Study] = {}
    owned: dict[int, list[str]] = {}
    problems: list[Problem] = []
    with _without_collecting():
        for number, entry in entries:
            if isinstance(entry, Problem):
                problems.append(entry)
                continue
            try:
                studies[number], owned[number] = _study(entry, folder, root, places)
            except _BadLineError as error:
                problems += [Problem(number, field, message) for field, message in error.problems]
        problems += _contradictions(studies, owned, place)
    if not studies and not problems:
        problems.append(Problem(0, "", "has no studies"))
    return Listing(studies, tuple(sorted(problems, key=lambda problem: problem.line)))


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Let Python not look for cycles, which are none here, in ever more studies: a third of all."""
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_collecting:
            gc.enable()


def _study(
    entry: object, folder: Path, root: str | None, places: Places
) -> tuple[Study, list[str]]:
    """The study of an entry, and where its files really are, all links followed."""
    try:
        row = Row.model_validate(entry)
    except ValidationError as error:
        raise _BadLineError(*map(_explain, error.errors())) from None
    said = vars(row)
    images: dict[Kind, Path] = {}
    others: dict[str, Path] = {}
    real, problems = [], []
    for word, field, kind in FILES:
        name = said[field]
        if name is None:
            continue
        path = folder / name
        if kind is None:
            others[word] = path
        else:
            images[kind] = path
        place = places.of(str(path)) if name.isprintable() else NOWHERE
        real.append(place.real)
        if fault := _fault(name, place, root):
            problems.append((word, fault))
    if not real:
        problems.append(("", f"names no file; add one of {', '.join(WORDS)}"))
    if problems:
        raise _BadLineError(*problems)
    split = Split(row.split) if row.split else None
    text, changed, masks = map(others.get, ("text", COUNTERFACTUALS, MASKS))
    return Study(row.id, row.patient, images, text, split, changed, masks), real


def _explain(error: ErrorDetails) -> tuple[str, str]:
    """Pydantic's words in ours; never the value, which may name a patient."""
    where, kind, message = error["loc"], error["type"], error["msg"]
    field = str(where[0])[:40] if where else ""
    if kind == "extra_forbidden":
        return ascii(field)[1:-1], f"is not a known key; known: {', '.join(KEYS)}"
    if kind == "missing":
        return field, "is missing"
    return field, message[0].lower() + message[1:]


def _fault(name: str, place: Place, root: str | None) -> str | None:
    """Why a file named in a list must not or cannot be opened; None if it can.

    Args:
        name: As it stands in the list.
        place: Where that leads.
        root: The real folder that it must not leave, with a separator; None for any.
    """
    if not name or not name.isprintable():
        return "is empty or has control characters"
    is_odd = ODD.search(name)
    if is_odd and (name.startswith("~") or "://" in name):
        return "must be a plain path, not a URL and not '~'"
    if root is not None:
        if is_odd and (Path(name).is_absolute() or os.pardir in Path(name).parts):
            return "must stay inside the list's folder: no absolute path and no '..'"
        if not place.real.startswith(root) and place.real + os.sep != root:
            return "leads out of the list's folder through a link"
    return None if place.is_there else f"no such file: '{name[:LONGEST]}'"


def _contradictions(
    studies: dict[int, Study], owned: dict[int, list[str]], place: Callable[[int], str]
) -> Iterator[Problem]:
    """What only shows when entries are compared; each names the earlier one."""
    ids: dict[str, int] = {}
    splits: dict[str, int] = {}
    owners: dict[str, int] = {}
    for number, study in studies.items():
        first = ids.setdefault(study.id, number)
        if first != number:
            yield Problem(number, "id", f"is the id of {place(first)} too")
        first = splits.setdefault(study.patient, number)
        if studies[first].split != study.split:
            message = f"the same patient is in another split on {place(first)}"
            yield Problem(number, "split", message)
        for file in owned[number]:
            first = owners.setdefault(file, number)
            if studies[first].patient != study.patient:
                message = f"a file of {place(first)} belongs to another patient"
                yield Problem(number, "patient", message)
