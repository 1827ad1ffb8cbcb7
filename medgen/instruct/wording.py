"""How people say what a reference is for: read for an instruction, written for training."""

import re
from dataclasses import dataclass

from medgen.errors import UsageError
from medgen.instruct.instruction import MARK, Instruction, Role

WORDS: dict[Role, tuple[str, ...]] = {
    Role.LOOK: ("look", "style", "appearance", "contrast", "scanner", "exposure", "noise"),
    Role.SUBJECT: ("patient", "subject", "prior", "previous study", "person", "follow-up"),
    Role.ANATOMY: (
        *("anatomy", "layout", "label map", "labels", "edges", "outlines", "contours"),
        *("segmentation", "shapes"),
    ),
    Role.REGION: ("region", "mask", "area", "inside", "within"),
    Role.CONTEXT: ("similar", "like", "example", "examples", "neighbour", "resembling"),
}
"""Words that name a role; the one nearest before a mark counts."""

PHRASES: dict[Role, tuple[str, ...]] = {
    Role.LOOK: (
        *("in the look of {}", "with the look of {}", "in the style of {}"),
        *("with the appearance of {}", "with the contrast of {}", "as from the scanner of {}"),
        *("with the exposure of {}", "with contrast and noise of {}"),
    ),
    Role.SUBJECT: (
        *("of the patient in {}", "of the same patient as {}", "for the subject of {}"),
        *("as a follow-up of {}", "with {} as the prior", "of the person in {}"),
        *("keeping the patient of {}",),
    ),
    Role.ANATOMY: (
        *("with the anatomy of {}", "anatomy of {}", "with the layout of {}"),
        *("following the edges of {}", "along the contours of {}", "with the outlines of {}"),
        *("on the label map {}", "from the segmentation {}", "with the shapes in {}"),
    ),
    Role.REGION: (
        *("only in the region {}", "inside {}", "within the mask {}", "in the area of {}"),
        *("changing only the region of {}",),
    ),
    Role.CONTEXT: (
        *("similar to {}", "like {}", "resembling {}", "with {} as an example"),
        *("taking {} for an example",),
    ),
}
"""Ways to say a role in training; `{}` is the mark."""

_NAMES = {word: role for role, words in WORDS.items() for word in words}
_NAME = re.compile(rf"\b({'|'.join(sorted(_NAMES, key=len, reverse=True))})\b", re.IGNORECASE)
_LEADING = (  # words that only lead to a reference; with it they are left out of what is said
    *("a", "an", "the", "its", "same", "this", "in", "on", "of", "with", "and", "from", "for"),
    *("as", "by", "to", "at", "using", "use", "take", "taking", "keep", "keeping", "following"),
    *("follow", "along", "only", "change", "changing", "given", "made", "shown"),
    *("inside", "within"),
)
_POINTING = (  # and those that may stand between a role and its mark
    *("that", "which", "is", "file", "image", "picture", "scan", "study", "film", "exam"),
    *("examination", "radiograph", "his", "her", "their", "one", "first", "earlier", "old"),
)
_LED = re.compile(rf"(?:[,;\s]*\b(?:{'|'.join(_LEADING)})\b)*[,;\s]*$", re.IGNORECASE)
_LEADS_ON = re.compile(
    rf"\s*:?(?:\s*\b(?:{'|'.join((*_LEADING, *_POINTING))})\b)*\s*", re.IGNORECASE
)
_AFTER = re.compile(
    rf"\s*(?:as|for)\s+(?:(?:the|an?|its)\s+)?({'|'.join(_NAMES)})\b", re.IGNORECASE
)
_JOINED = re.compile(r"\s*(?:,|and)\s+(?:the\s+|its\s+)?")
_ALIKE = re.compile(  # between marks of one role
    r"\s*(?:,|,?\s*and\b)\s*(?:(?:of|from|in|to)\s+)?", re.IGNORECASE
)
_CLAUSE = re.compile(r"[,;.!?]")


@dataclass(frozen=True)
class Worded:
    """An instruction as it was understood.

    Attributes:
        said: What remains of the text without the references: what is to be shown.
        roles: Of each reference, in the order of the instruction.
    """

    said: str
    roles: tuple[Role, ...]


@dataclass(frozen=True)
class _Spot:
    """A mark in the text with the words that belong to it."""

    number: int
    start: int
    end: int
    roles: tuple[Role, ...]


def worded(instruction: Instruction) -> Worded:
    """What an instruction says, and what each of its references is for.

    A role that is given counts; else the words around the mark, if nothing lies between that says
    something of its own; else it is context. Marks that are joined share the role of the first. The
    numbers of the marks play no part.

    Raises:
        UsageError: If words say two roles of one mark, and none is given.

    Example:
        >>> text = "CT of the thorax in the look of [ref#1], anatomy of [ref#2], small nodule."
        >>> read = worded(Instruction.parse(text, ["1=a.nii", "2=b.nii"]))
        >>> read.said, [str(role) for role in read.roles]
        ('CT of the thorax, small nodule.', ['look', 'anatomy'])
    """
    spots = _spots(instruction.text)
    roles = tuple(one.role or _role_of(one.number, spots) for one in instruction.references)
    return Worded(_without(instruction.text, spots), roles)


def _role_of(number: int, spots: list[_Spot]) -> Role:
    roles = list(dict.fromkeys(r for spot in spots if spot.number == number for r in spot.roles))
    if len(roles) > 1:
        raise UsageError(
            f"[ref#{number}]: is {' and '.join(roles)} at once; give the file a mark for each, or "
            f"say one of them: --ref {number}=FILE:{roles[0]}"
        )
    return roles[0] if roles else Role.CONTEXT


def _spots(text: str) -> list[_Spot]:
    spots: list[_Spot] = []
    before = 0
    for mark in MARK.finditer(text):
        ends = [found.end() for found in _CLAUSE.finditer(text, before, mark.start())]
        clause = max(ends, default=before)
        names = list(_NAME.finditer(text, clause, mark.start()))
        if names and not _LEADS_ON.fullmatch(text, names[-1].end(), mark.start()):
            names = []  # what lies between says something of its own
        after = _AFTER.match(text, mark.end())
        start, end = mark.span()
        roles: tuple[Role, ...] = ()
        if after is not None:
            end, roles = after.end(), (_NAMES[after[1].lower()],)
        elif names:
            joined = _joined(names, text)
            start, roles = joined[0].start(), tuple(_NAMES[one[1].lower()] for one in joined)
        elif spots and _ALIKE.fullmatch(text, before, start):
            roles = spots[-1].roles
        led = _LED.search(text, before, start)
        spots.append(_Spot(int(mark[1]), led.start() if led else start, end, roles))
        before = end
    return spots


def _joined(names: list[re.Match[str]], text: str) -> list[re.Match[str]]:
    """The last name and those that are joined with it, in their order: "contrast and noise"."""
    first = len(names) - 1
    while first and _JOINED.fullmatch(text, names[first - 1].end(), names[first].start()):
        first -= 1
    return names[first:]


def _without(text: str, spots: list[_Spot]) -> str:
    kept, at = [], 0
    for spot in spots:
        kept.append(text[at : spot.start])
        at = spot.end
    said = "".join([*kept, text[at:]])
    if not spots:
        return said
    said = re.sub(r"\s+([,;.!?])", r"\1", re.sub(r"\s+", " ", said))
    said = re.sub(r"[,;]+([.!?])", r"\1", re.sub(r"([,;])[,;]+", r"\1", said))
    said = re.sub(r"([.!?])(?:\s*[.,;!?])+", r"\1", said)
    return said.lstrip(" ,;.!?").rstrip(" ,;")
