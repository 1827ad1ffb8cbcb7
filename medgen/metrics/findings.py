"""Findings of a report: what its sentences say is there, is not there, or may be, and where.

Denial and doubt reach over a clause, as in NegEx (Chapman et al. 2001, 10.1006/jbin.2001.1029);
what was there before, or is only asked about, is not told, as in ConText (Harkema et al. 2009,
10.1016/j.jbi.2009.05.002).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from medgen.finding import Course, Finding, Presence, Side
from medgen.metrics.cues import cues_of, gap, presence_of
from medgen.metrics.phrases import Mention, Phrases
from medgen.metrics.report_text import plain_text, sentences_of

SIZE = re.compile(
    r"(\d+(?:\.\d+)?(?:\s*(?:mm|cm)?\s*(?:x|\u00d7)\s*\d+(?:\.\d+)?)*)[\s-]*"
    r"(mm|cm|millimet(?:re|er)s?|centimet(?:re|er)s?)\b"
    r"(?!\s*(?:above|below|from|proximal|distal|beyond))",  # a distance, not a size
    re.IGNORECASE,
)
JOINT = re.compile(r",\s*(?:and\s+)?|\s+and\s+", re.IGNORECASE)
STARTS_ANEW = re.compile(
    r"(?:an?|the|there|new|old|another|stable|unchanged|persistent|possible|\d+(?:\.\d+)?)\b",
    re.IGNORECASE,
)
EARLIER = re.compile(  # sizes of another day: `from 21 mm` to what it is now, `previously 12 mm`
    r"\bfrom\s+\d+(?:\.\d+)?\s*(?:[mc]m)?\s+(?=to\s+\d)"
    r"|\b(?:previously|formerly|earlier|compared (?:to|with))\s+(?:measur(?:ed|ing)\s+)?"
    r"\d+(?:\.\d+)?\s*[mc]m\b",
    re.IGNORECASE,
)
TWO_SIDES = re.compile(  # `large left and small right effusions`
    r"(?P<one>(?:[\w-]+\s+)?(?P<first>left|right)(?:[\s-]sided)?)\s+and\s+"
    r"(?:an?\s+)?[\w-]+\s+(?P<second>left|right)(?:[\s-]sided)?\s+$",
    re.IGNORECASE,
)
ITEM_END = re.compile(r"\s*(?:$|,|and\b)", re.IGNORECASE)
OTHER_SIDE = re.compile(  # `, none on the left`, `, a small one on the left`, `, the left is gone`
    r"(?:,?\s*(?:and\s+|but\s+)?(?:(?P<none>none|nothing)|(?:an?\s+)?(?:[\w-]+\s+)?one)"
    r"\s+on\s+the\s+(?P<there>left|right)\b"
    r"|(?:,\s*(?:and\s+|but\s+|while\s+)?|\b(?:and|but|while)\s+)(?:that\s+on\s+)?the\s+"
    r"(?P<its>left|right)\s+(?:one\s+)?(?:is|has)\s+(?:now\s+)?"
    r"(?:(?P<gone>gone|cleared|resolved)|sharp|clear|normal))",
    re.IGNORECASE,
)
TURNED = re.compile(r"\b(?:not|no longer|isnt|arent|never)\b", re.IGNORECASE)
ADJACENT = 2  # letters between a side and the statement that it belongs to
UNLISTED = "unlisted"  # what sounds like a finding and is none of those that are told
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
    text = plain_text(text)
    where = next((one.meaning for one in phrases.context.find(text)), None)
    said = (one for sentence in sentences_of(text) for one in _of_sentence(sentence, phrases))
    return _merged(_meant(one, phrases) if where else one for one in said)


def _meant(one: Finding, phrases: Phrases) -> Finding:
    """What a finding is, in a text about the part of the body that the context names."""
    return replace(one, name=phrases.meant[one.name][0]) if one.name in phrases.meant else one


def _of_sentence(sentence: str, phrases: Phrases) -> Iterator[Finding]:
    for statement in list(phrases.says.find(sentence)):
        words = sentence[statement.start : statement.end]
        is_turned = TURNED.search(words) and not TURNED.search(statement.meaning)
        sides = [one for one in phrases.side.find(sentence) if gap(one, statement) <= ADJACENT]
        side = _nearest(statement, sides)
        for name in phrases.denied[statement.meaning]:
            yield Finding(
                name,
                Presence.PRESENT if is_turned else Presence.ABSENT,
                side=Side(side) if side and name not in phrases.unsided else None,
            )
        sentence = _blanked(sentence, statement.start, statement.end)
    for other in list(OTHER_SIDE.finditer(sentence)):
        before = list(phrases.finding.find(sentence[: other.start()]))
        if before:
            severity = next((one.meaning for one in phrases.severity.find(other[0])), None)
            yield Finding(
                before[-1].meaning,
                Presence.ABSENT if other["none"] or other["its"] else Presence.PRESENT,
                side=Side((other["there"] or other["its"]).lower()),
                severity=severity,
                course=Course.GONE if other["gone"] else None,
            )
            sentence = _blanked(sentence, *other.span())
    for clause in _clauses(sentence, phrases):
        yield from _of_clause(clause, phrases)


def _blanked(text: str, start: int, end: int) -> str:
    return text[:start] + " " * (end - start) + text[end:]


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
        both = (part[start : joint.start()], rest)
        is_anew = is_anew and all(next(phrases.finding.find(each), None) for each in both)
        if is_anew and not GOES_ON.search(rest):
            yield part[start : joint.start()]
            start = joint.end()
    yield part[start:]


def _is_course(rest: str, phrases: Phrases) -> bool:
    """Whether an item is only a word like `stable`, which is said of what came before."""
    end = phrases.course.begins(rest)
    return end > 0 and bool(ITEM_END.match(rest, end))


def _starts_anew(rest: str, phrases: Phrases) -> bool:
    lexicons = (phrases.severity, phrases.absent, phrases.side)
    return bool(STARTS_ANEW.match(rest)) or any(one.begins(rest) for one in lexicons)


def _of_clause(clause: str, phrases: Phrases) -> Iterator[Finding]:
    names = list(phrases.finding.find(clause))
    courses = list(phrases.course.find(clause))
    cues = cues_of(clause, phrases, courses)
    sides, regions = _sides(clause, phrases), list(phrases.region.find(clause))
    today = EARLIER.sub(lambda past: " " * len(past[0]), clause)
    sizes = [Mention(str(_millimetres(m)), *m.span()) for m in SIZE.finditer(today)]
    severities = _severities(clause, courses, phrases)
    for name in names:
        presence = presence_of(name, cues, names, clause)
        if presence is None or name.meaning == UNLISTED:
            continue
        has_side = name.meaning not in phrases.unsided
        side = _place(name, sides, regions, names, clause) if has_side else None
        region = _place(name, regions, sides, names, clause, is_shared=has_side)
        size = _own(name, sizes, names)
        if side and (two := TWO_SIDES.search(clause[: name.start])):
            severity = next((one.meaning for one in phrases.severity.find(two["one"])), None)
            first = Side(two["first"].lower())
            yield Finding(name.meaning, presence, side=first, severity=severity)
        yield Finding(
            name.meaning,
            presence,
            side=Side(side) if side else None,
            region=region,
            size_mm=float(size) if size else None,
            severity=_own(name, severities, names),
            course=_course(name, courses, names, presence),
        )


def _sides(clause: str, phrases: Phrases) -> list[Mention]:
    """Words for sides; `L-spine` has none."""
    found = phrases.side.find(clause)
    return [one for one in found if one.end - one.start > 1 or clause[one.end : one.end + 1] != "-"]


def _severities(clause: str, courses: Sequence[Mention], phrases: Phrases) -> list[Mention]:
    """Words for severities; `slightly larger` says nothing of how large it is."""
    return [
        one
        for one in phrases.severity.find(clause)
        if not clause[one.start : one.end].lower().endswith("ly")
        or not any(0 <= other.start - one.end <= 1 for other in courses)
    ]


def _place(
    name: Mention,
    mentions: Sequence[Mention],
    others: Sequence[Mention],
    names: Sequence[Mention],
    clause: str,
    *,
    is_shared: bool = True,
) -> str | None:
    """The side or region of a name: of its own item of a list, or else, if it has no place, of all.

    `Atelectasis in the right base, nodule in the left upper lobe` has two places; that of
    `effusion and atelectasis at the left base` is shared.

    Args:
        name: Of the finding.
        mentions: Words for what is asked.
        others: Words for the other: regions, or sides.
        names: All findings of the clause.
        clause: The words.
        is_shared: Whether another item's place may be its own.
    """
    start, end = _item_of(name, names, clause)
    own = [one for one in mentions if start <= one.start < end]
    if own or any(start <= one.start < end for one in others):
        return _nearest(name, own)
    return _nearest(name, mentions) if is_shared or len(names) == 1 else None


def _item_of(name: Mention, names: Sequence[Mention], clause: str) -> tuple[int, int]:
    """Where the item of a list begins and ends that a name is in."""
    start, end = 0, len(clause)
    for first, second in pairwise(names):
        joints = list(JOINT.finditer(clause, first.end, second.start))
        if joints and second.start <= name.start:
            start = joints[-1].end()
        elif joints and first.start >= name.start:
            end = min(end, joints[-1].start())
    return start, end


def _nearest(name: Mention, mentions: Sequence[Mention]) -> str | None:
    """What stands closest to the name; before it, of two as close."""
    ranked = [(gap(name, one), one.start > name.start, one.meaning) for one in mentions]
    return min(ranked)[2] if ranked else None


def _own(name: Mention, mentions: Sequence[Mention], names: Sequence[Mention]) -> str | None:
    """The same, of what belongs to this name: the closest, or of two as close the one behind."""
    return _nearest(name, [mention for mention in mentions if _owner(mention, names) is name])


def _owner(mention: Mention, names: Sequence[Mention]) -> Mention:
    return min(names, key=lambda one: (gap(one, mention), one.start < mention.start))


def _course(
    name: Mention, courses: Sequence[Mention], names: Sequence[Mention], presence: Presence
) -> Course | None:
    """What has become of it; of what is absent, only that it is gone."""
    word = _own(name, courses, names)
    course = Course(word) if word else None
    is_absent = presence is Presence.ABSENT
    return course if (course is Course.GONE) == is_absent else None


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
