"""A JSON datalist of MONAI or the Medical Segmentation Decathlon, read like a manifest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from medgen.data.columns import Columns
from medgen.data.listing import Listing, Problem, examine
from medgen.data.manifest import parse_json
from medgen.data.study import Split
from medgen.errors import InputError

MAX_BYTES = 200_000_000  # it is read whole; about a million studies
SECTIONS = {  # as MONAI, the Decathlon and nnU-Net call them
    "training": Split.TRAIN,
    "train": Split.TRAIN,
    "validation": Split.VALIDATION,
    "val": Split.VALIDATION,
    "test": Split.TEST,
    "testing": Split.TEST,
}


@dataclass(frozen=True)
class _Entry:
    """One entry, and where it stands."""

    section: str
    index: int
    content: object

    @property
    def place(self) -> str:
        return f"{self.section}[{self.index}]"


def read_datalist(path: Path, renaming: Mapping[str, str] | None = None) -> Listing:
    """Read the sections `training`, `validation` and `test`; they become the splits.

    An entry is an object, or a path, which is short for `{"image": path}`. Its keys are those of a
    manifest, or renamed to them. A study without `id` is called by the number of its entry; where
    no key names patients, each study is taken for another patient, with a warning.

    Args:
        path: The file; the paths in it are relative to its folder.
        renaming: Key of a manifest by the key of an entry; empty to leave it out.

    Returns:
        The studies by number, from 1 through all sections. Problems have no line; their field
        names the entry, counted from 0 as in JSON: `training[0].ct`.

    Raises:
        InputError: If the file itself cannot be read.
        UsageError: If a key to be renamed is not there.
    """
    try:
        document = parse_json(_content(path))
    except ValueError as error:
        return Listing({}, (Problem(0, "", f"is not JSON in UTF-8 ({error})"),))
    sections = document if isinstance(document, dict) else {}
    if problems := tuple(_bad_sections(sections)):
        return Listing({}, problems)
    found = [
        _Entry(section, index, {"image": content} if isinstance(content, str) else content)
        for section in sections
        if section in SECTIONS
        for index, content in enumerate(sections[section])
    ]
    contents = [entry.content for entry in found if isinstance(entry.content, dict)]
    names = dict.fromkeys(name for content in contents for name in content)
    columns = Columns(tuple(names), renaming or {})
    if problems := columns.check(path, line=0) if found else ():
        return Listing({}, problems)
    return _examined(found, columns, path.parent)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: has more than {MAX_BYTES} bytes; split it")
    return content


def _bad_sections(sections: Mapping[str, object]) -> Iterator[Problem]:
    """What a datalist has instead of lists of studies, or beside them."""
    known = "'training', 'validation' or 'test'"
    if not sections.keys() & SECTIONS.keys():
        yield Problem(0, "", f"has no list of studies; expected {known}")
    for name, content in sections.items():
        if name in SECTIONS and not isinstance(content, list):
            yield Problem(0, name, "is not a list")
        elif name not in SECTIONS and _has_objects(content):
            yield Problem(0, ascii(name[:40])[1:-1], f"is not a known section; call it {known}")


def _has_objects(content: object) -> bool:
    """Whether this may be a list of studies; the names of labels and modalities are none."""
    return isinstance(content, list) and any(isinstance(entry, dict) for entry in content)


def _examined(found: list[_Entry], columns: Columns, folder: Path) -> Listing:
    listing = examine(
        ((number, _said(number, entry, columns)) for number, entry in enumerate(found, start=1)),
        folder,
        place=lambda number: found[number - 1].place,
    )
    problems = [
        Problem(0, ".".join(filter(None, (found[one.line - 1].place, one.field))), one.message)
        if one.line
        else one
        for one in listing.problems
    ]
    return replace(listing, problems=tuple(problems))


def _said(number: int, entry: _Entry, columns: Columns) -> object:
    """What an entry says by the keys of a manifest, or what is wrong with it."""
    if not isinstance(entry.content, dict):
        return Problem(number, "", "is neither an object nor a path")
    said = columns.entry(number, [entry.content.get(name) for name in columns.names])
    split = SECTIONS[entry.section]
    if said.setdefault("split", str(split)) != split:
        return Problem(number, "split", "contradicts its section; leave it out with --map split=")
    return said
