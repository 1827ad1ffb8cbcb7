"""An instruction: text with `[ref#n]` marks, and for each mark a file and what it is for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from medgen.errors import UsageError
from medgen.modality import WORDS

MAX_REFERENCES = 8
NUMBER = r"[1-9]\d{0,3}"  # of a mark
MARK = re.compile(rf"\[ref#({NUMBER})\]")
ALMOST = re.compile(r"\[\s*ref(?![a-z])[^\]]*\]?", re.IGNORECASE)  # what was meant to be a mark


class Role(StrEnum):
    """What is taken from a reference."""

    LOOK = "look"  # contrast, scanner, noise
    SUBJECT = "subject"  # the patient: a prior study
    ANATOMY = "anatomy"  # what is where: a label map, or edges
    REGION = "region"  # where something is to be done: a mask
    CONTEXT = "context"  # nothing in particular: a study like the one that is wanted


ROLES = ", ".join(Role)
_AFTER_FILE = re.compile(rf":(?P<role>{'|'.join(Role)}|)(?::(?P<caption>.*))?$", re.DOTALL)
_ROLE_SOMEWHERE = re.compile(rf":({'|'.join(Role)}|)(:|$)")


@dataclass(frozen=True)
class Reference:
    """What a mark points at.

    Attributes:
        number: Of the mark, from 1.
        file: Name of the file; `KIND=FILE` says what the file does not.
        role: What is taken from it; None leaves it to the words before the mark.
        caption: What it shows, in words.

    Raises:
        UsageError: If there is no file, or its name looks like a role.
    """

    number: int
    file: str
    role: Role | None = None
    caption: str = ""

    def __post_init__(self) -> None:
        if self.number < 1:
            raise UsageError(f"reference {self.number}: marks are numbered from 1")
        if not self.file:
            raise UsageError(f"reference {self.number}: names no file; write {self.number}=FILE")
        if _ROLE_SOMEWHERE.search(self.file):
            raise UsageError(f"{self.file}: has a role inside its name; rename the file")

    @classmethod
    def parse(cls, word: str) -> "Reference":
        """Read `N=FILE`, `N=FILE:ROLE`, `N=FILE:ROLE:CAPTION` or `N=FILE::CAPTION`.

        Raises:
            UsageError: If it is none of these, or the role is unknown.

        Example:
            >>> Reference.parse("2=labels.nii.gz:anatomy")
            Reference(number=2, file='labels.nii.gz', role=<Role.ANATOMY: 'anatomy'>, caption='')
        """
        number, equals, rest = word.partition("=")
        if not equals or not re.fullmatch(NUMBER, number):
            raise UsageError(f"--ref {word}: is not N=FILE[:ROLE]; as 1=scan.png:look")
        first = _ROLE_SOMEWHERE.search(rest)
        if first is None:
            _refuse_unknown_role(word, rest)
            return cls(int(number), rest)
        found = _AFTER_FILE.match(rest, first.start())
        assert found is not None  # the one pattern holds wherever the other does
        role, caption = found["role"], found["caption"] or ""
        return cls(int(number), rest[: first.start()], Role(role) if role else None, caption)

    def __str__(self) -> str:
        """The word that `parse` reads."""
        caption = f":{self.caption}" if self.caption else ""
        role = f":{self.role or ''}" if self.role or caption else ""
        return f"{self.number}={self.file}{role}{caption}"


@dataclass(frozen=True)
class Instruction:
    """Text and what its marks point at; without references, a plain prompt.

    Attributes:
        text: With a mark for each reference; a mark may come more than once.
        references: In the order of their numbers.

    Raises:
        UsageError: If a mark has no file, a file no mark, two files one mark, something is nearly
            a mark, or there are too many.
    """

    text: str
    references: tuple[Reference, ...] = ()

    def __post_init__(self) -> None:
        for almost in ALMOST.finditer(self.text):
            if not MARK.fullmatch(almost[0]):
                raise UsageError(f"'{almost[0]}': is no mark; write [ref#1]")
        given = [one.number for one in self.references]
        if len(given) > MAX_REFERENCES:
            raise UsageError(f"{len(given)} references; at most {MAX_REFERENCES} are read")
        if twice := [n for n in given if given.count(n) > 1]:
            raise UsageError(f"--ref {twice[0]}=…: is given twice; number each file")
        if lost := sorted(set(self.marks) - set(given)):
            raise UsageError(f"[ref#{lost[0]}]: has no file; add --ref {lost[0]}=FILE")
        if lost := sorted(set(given) - set(self.marks)):
            raise UsageError(f"--ref {lost[0]}=…: the text has no [ref#{lost[0]}]; add the mark")
        if given != sorted(given):
            ordered = tuple(sorted(self.references, key=lambda one: one.number))
            object.__setattr__(self, "references", ordered)

    @property
    def marks(self) -> tuple[int, ...]:
        """Numbers of the marks, in the order of the text; each once."""
        return tuple(dict.fromkeys(int(number) for number in MARK.findall(self.text)))

    @classmethod
    def parse(cls, text: str, words: Sequence[str] = ()) -> "Instruction":
        """Read a text and words such as `1=scan.png:look`; `words` prints them again.

        Raises:
            UsageError: In one line, what is wrong.
        """
        return cls(text, tuple(map(Reference.parse, words)))

    @property
    def words(self) -> tuple[str, ...]:
        """The references as `parse` reads them."""
        return tuple(map(str, self.references))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Instruction":
        """Read `{"text": …, "references": {"1": {"file": …, "role": …, "caption": …}}}`.

        Role, caption and all references may be left out; a file alone may be a string.

        Raises:
            UsageError: If it is something else.
        """
        text, references = values.get("text", ""), values.get("references", {})
        if not isinstance(text, str) or not isinstance(references, Mapping):
            raise UsageError('an instruction is {"text": "…", "references": {"1": "FILE"}}')
        return cls(text, tuple(_of_json(*each) for each in references.items()))

    def beside(self, folder: Path) -> "Instruction":
        """The same with files that lie in a folder, where their names are not absolute."""
        moved = [replace(one, file=_moved(one.file, folder)) for one in self.references]
        return Instruction(self.text, tuple(moved))

    def as_json(self) -> dict[str, Any]:
        """What `from_json` reads; nothing that is empty is written."""
        if not self.references:
            return {"text": self.text}
        listed = {
            str(one.number): {
                "file": one.file,
                **({"role": str(one.role)} if one.role else {}),
                **({"caption": one.caption} if one.caption else {}),
            }
            for one in self.references
        }
        return {"text": self.text, "references": listed}


def _refuse_unknown_role(word: str, rest: str) -> None:
    """Raises UsageError where what follows the last colon can only be meant as a role."""
    file, colon, role = rest.rpartition(":")
    if colon and file and re.fullmatch(r"[A-Za-z]+", role):
        raise UsageError(f"--ref {word}: the role '{role}' is none of {ROLES}")


def _moved(file: str, folder: Path) -> str:
    """`KIND=FILE` or `FILE` in a folder."""
    kind, equals, name = file.partition("=")
    return f"{kind}={folder / name}" if equals and kind.lower() in WORDS else str(folder / file)


def _of_json(number: str, value: Any) -> Reference:
    if not re.fullmatch(NUMBER, str(number)):
        raise UsageError(f"references: '{number}' is no number of a mark; write 1, 2, …")
    given = {"file": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping) or not all(isinstance(one, str) for one in given.values()):
        raise UsageError(f"reference {number}: is a file, or file, role and caption in quotes")
    if odd := sorted(given.keys() - {"file", "role", "caption"}):
        raise UsageError(f"reference {number}: '{odd[0]}' is none of file, role and caption")
    role = given.get("role", "")
    if role and role not in list(Role):
        raise UsageError(f"reference {number}: the role '{role}' is none of {ROLES}")
    return Reference(
        int(number), given.get("file", ""), Role(role) if role else None, given.get("caption", "")
    )
