"""Findings of a report: what its sentences say is there, is not there, or may be, and where.

Denial and doubt reach over a clause, as in NegEx (Chapman et al. 2001, 10.1006/jbin.2001.1029).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from medgen.finding import Course, Finding, Presence, Side
from medgen.metrics.phrases import Mention, Phrases

SENTENCE_END = re.compile(r"(?<!\d)[.!?;:]+(?=\s|$)|(?<=\d)\.(?=\s|$)|\n\s*\n|\n(?=\s*[-*•\d])")
SIZE = re.compile(
    r"(\d+(?:\.\d+)?(?:\s*(?:mm|cm)?\s*(?:x|\u00d7)\s*\d+(?:\.\d+)?)*)[\s-]*"
    r"(mm|cm|millimet(?:re|er)s?|centimet(?:re|er)s?)\b"
    r"(?!\s*(?:above|below|from|proximal|distal|beyond))",  # a distance, not a size
    re.IGNORECASE,
)
JOINT = re.compile(r",\s*(?:and\s+)?|\s+and\s+", re.IGNORECASE)
STARTS_ANEW = re.compile(r"(?:an?|the|there|new|stable|unchanged|persistent)\b", re.IGNORECASE)
ITEM_END = re.compile(r"\s*(?:$|,|and\b)", re.IGNORECASE)
GOES_ON = re.compile(r"\b(?:n?or)\b", re.IGNORECASE)
STRENGTH = (Presence.ABSENT, Presence.UNCERTAIN, Presence.PRESENT)


def read_findings(text: str, phrases: Phrases) -> list[Finding]:
    """Read what a report says, each finding once.

    What is said twice is told as surely and as precisely as anywhere in the text; `effusion`
    without a side adds nothing to a left effusion.

    Args:
        text: In English.
        phrases: What words mean.

    Returns:
        In the order of the text.

    Example:
        >>> from medgen.metrics.phrases import load_phrases
        >>> text = "No pneumothorax. Small left pleural effusion."
        >>> for one in read_findings(text, load_phrases()):
        ...     print(one.name, one.presence, one.side, one.severity)
        pneumothorax absent None None
        pleural_effusion present left small
    """
    said = (one for sentence in _sentences(text) for one in _of_sentence(sentence, phrases))
    return _merged(said)


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for match in SENTENCE_END.finditer(text):
        yield text[start : match.start()]
        start = match.end()
    yield text[start:]


def _of_sentence(sentence: str, phrases: Phrases) -> Iterator[Finding]:
    for statement in list(phrases.says.find(sentence)):
        for name in phrases.denied[statement.meaning]:
            yield Finding(name, Presence.ABSENT)
        blank = " " * (statement.end - statement.start)
        sentence = sentence[: statement.start] + blank + sentence[statement.end :]
    for clause in _clauses(sentence, phrases):
        yield from _of_clause(clause, phrases)


def _clauses(sentence: str, phrases: Phrases) -> Iterator[str]:
    """Parts over which a denial reaches: up to `but`, or to where a list starts anew."""
    start = 0
    for end in phrases.ends.find(sentence):
        yield from _items(sentence[start : end.start], phrases)
        start = end.end
    yield from _items(sentence[start:], phrases)


def _items(part: str, phrases: Phrases) -> Iterator[str]:
    """Split `no effusion, small nodule`; leave `no effusion, small nodule or mass` whole."""
    start = 0
    for joint in JOINT.finditer(part):
        rest = part[joint.end() :]
        is_anew = _starts_anew(rest, phrases) and not _is_course(rest, phrases)
        if is_anew and not GOES_ON.search(rest):
            yield part[start : joint.start()]
            start = joint.end()
    yield part[start:]


def _is_course(rest: str, phrases: Phrases) -> bool:
    """Whether an item is only a word like `stable`, which is said of what came before."""
    word = phrases.course.pattern.match(rest)
    return word is not None and bool(ITEM_END.match(rest, word.end()))


def _starts_anew(rest: str, phrases: Phrases) -> bool:
    lexicons = (phrases.severity, phrases.absent, phrases.side)
    return bool(STARTS_ANEW.match(rest)) or any(one.pattern.match(rest) for one in lexicons)


def _of_clause(clause: str, phrases: Phrases) -> Iterator[Finding]:
    names = list(phrases.finding.find(clause))
    doubts = list(phrases.uncertain.find(clause))
    courses = list(phrases.course.find(clause))
    # `no change` denies nothing
    stays = [one for one in courses if one.meaning == Course.UNCHANGED]
    denials = [one for one in phrases.absent.find(clause) if not _overlaps(one, doubts + stays)]
    sides, regions = list(phrases.side.find(clause)), list(phrases.region.find(clause))
    sizes = [Mention(str(_millimetres(m)), *m.span()) for m in SIZE.finditer(clause)]
    severities = list(phrases.severity.find(clause))
    for name in names:
        side = None if name.meaning in phrases.unsided else _nearest(name, sides)
        size = _own(name, sizes, names)
        presence = _presence(name, denials, doubts)
        yield Finding(
            name.meaning,
            presence,
            side=Side(side) if side else None,
            region=_nearest(name, regions),
            size_mm=float(size) if size else None,
            severity=_own(name, severities, names),
            course=_course(name, courses, names, presence),
        )


def _presence(name: Mention, denials: Sequence[Mention], doubts: Sequence[Mention]) -> Presence:
    """What the closest cue says that reaches the name."""
    cues = [(one, Presence.ABSENT) for one in denials]
    cues += [(one, Presence.UNCERTAIN) for one in doubts]
    reaching = [
        (_gap(name, cue), presence)
        for cue, presence in cues
        if (cue.meaning == "before" and cue.end <= name.start)
        or (cue.meaning == "after" and cue.start >= name.end)
    ]
    return min(reaching)[1] if reaching else Presence.PRESENT


def _nearest(name: Mention, mentions: Sequence[Mention]) -> str | None:
    """What stands closest to the name; before it, of two as close."""
    ranked = [(_gap(name, one), one.start > name.start, one.meaning) for one in mentions]
    return min(ranked)[2] if ranked else None


def _own(name: Mention, mentions: Sequence[Mention], names: Sequence[Mention]) -> str | None:
    """The same, of what belongs to this name: the closest, or of two as close the one behind."""

    def owner(mention: Mention) -> Mention:
        return min(names, key=lambda one: (_gap(one, mention), one.start < mention.start))

    return _nearest(name, [mention for mention in mentions if owner(mention) is name])


def _course(
    name: Mention, courses: Sequence[Mention], names: Sequence[Mention], presence: Presence
) -> Course | None:
    """What has become of it; of what is absent, only that it is gone."""
    word = _own(name, courses, names)
    course = Course(word) if word else None
    is_absent = presence is Presence.ABSENT
    return course if (course is Course.GONE) == is_absent else None


def _gap(one: Mention, other: Mention) -> int:
    """Letters between the two; 0 if they touch or overlap."""
    return max(one.start - other.end, other.start - one.end, 0)


def _overlaps(one: Mention, others: Iterable[Mention]) -> bool:
    return any(one.start < other.end and other.start < one.end for other in others)


def _millimetres(match: re.Match[str]) -> float:
    """The largest of `12 x 8 mm`, or of as many centimetres."""
    largest = max(float(number) for number in re.findall(r"\d+(?:\.\d+)?", match[1]))
    return largest * (10 if match[2].lower().startswith("c") else 1)


def _merged(said: Iterable[Finding]) -> list[Finding]:
    best: dict[tuple[str, Side | None, str | None], Finding] = {}
    for one in said:
        key = one.name, one.side, one.region
        best[key] = _stronger(best[key], one) if key in best else one
    found = list(best.values())
    kept = [one for one in found if not any(_covers(o, one) for o in found if o is not one)]
    return [_completed(one, found) for one in kept]


def _stronger(one: Finding, other: Finding) -> Finding:
    """The surer of two statements about the same, with what only the other says."""
    first, second = one, other
    if STRENGTH.index(other.presence) > STRENGTH.index(one.presence):
        first, second = other, one
    if first.presence != second.presence:
        return first
    size = first.size_mm if first.size_mm is not None else second.size_mm
    return replace(
        first,
        size_mm=size,
        severity=first.severity or second.severity,
        course=first.course or second.course,
    )


def _covers(one: Finding, other: Finding) -> bool:
    """Whether one says all that the other does of where it is, as surely or more so."""
    return (
        one.name == other.name
        and other.side in (None, one.side)
        and other.region in (None, one.region)
        and STRENGTH.index(one.presence) >= STRENGTH.index(other.presence)
    )


def _completed(one: Finding, found: Sequence[Finding]) -> Finding:
    """With the size and severity of a vaguer statement that means nobody else."""
    for other in found:
        if other is not one and _covers(one, other):
            others = [third for third in found if third is not other and _covers(third, other)]
            if others == [one]:
                one = replace(_stronger(one, other), side=one.side, region=one.region)
    return one
