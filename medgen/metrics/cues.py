"""Cues: the words of a clause that say whether its findings are there."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from medgen.finding import Course, Presence
from medgen.metrics.phrases import Mention, Phrases

ALTERNATIVE = re.compile(r"\s*(?:or|vs\.?|versus|/)\s+(?:[\w-]+\s+){0,3}$", re.IGNORECASE)
SHORT_SIGHTED = re.compile(
    r"not|isnt|arent|hasnt|havent|doesnt|dont|nor|status post|s/p|post|previous|prior|past|treated",
    re.IGNORECASE,
)
NEAR = 30  # letters over which these reach; `who could not stand, has a big heart` denies no heart
ATTACHES = re.compile(
    r"\b(?:around|surrounding|near|beside|adjacent to|within|behind|about)\s+(?:the|an?|this)?\s*"
    r"(?:[\w-]+\s+)?$",
    re.IGNORECASE,
)
COMPOUNDS = re.compile(r"-\w")  # `post-traumatic` tells of today
HINDERED = re.compile(r"\b(?:due to|limited by)\b", re.IGNORECASE)
DATED = re.compile(r"\bin (?:19|20)\d\d\b")


@dataclass(frozen=True)
class Cue:
    """Words that bear on findings.

    Attributes:
        mention: Where they stand; its meaning says on which side of them a finding must stand.
        presence: What they say of it; None: that it is not of today.
    """

    mention: Mention
    presence: Presence | None

    @property
    def length(self) -> int:
        """Letters."""
        return self.mention.end - self.mention.start


def cues_of(clause: str, phrases: Phrases, courses: Sequence[Mention]) -> list[Cue]:
    """All cues of a clause; of two that overlap, the longer one counts."""
    lexicons = (
        (phrases.affirmed, Presence.PRESENT),
        (phrases.uncertain, Presence.UNCERTAIN),
        (phrases.absent, Presence.ABSENT),
        (phrases.past, None),
    )
    found = [Cue(one, presence) for lexicon, presence in lexicons for one in lexicon.find(clause)]
    found = [cue for cue in found if cue.presence or not COMPOUNDS.match(clause, cue.mention.end)]
    if not courses:  # `the nodule seen in 2019 has grown` is there today
        found += [Cue(Mention("after", *year.span()), None) for year in DATED.finditer(clause)]
    # `no change` denies nothing
    stays = [one for one in courses if one.meaning == Course.UNCHANGED]
    kept: list[Cue] = []
    for cue in sorted(found, key=lambda one: -one.length):
        if not overlaps(cue.mention, [*stays, *(other.mention for other in kept)]):
            kept.append(cue)
    return kept


def presence_of(
    name: Mention, cues: Sequence[Cue], names: Sequence[Mention], clause: str
) -> Presence | None:
    """What the closest cue says that reaches the name; None if it is not of today."""
    reaching = [cue for cue in cues if _reaches(cue, name, names, clause)]
    today = [cue for cue in reaching if cue.presence is not None]
    if len(today) < len(reaching) and all(cue.presence is Presence.UNCERTAIN for cue in today):
        return None  # `referred with suspected pneumonia` says nothing of today, either
    reaching = today
    if reaching:
        return min(reaching, key=lambda cue: gap(name, cue.mention)).presence
    is_one_of_two = any(
        first.meaning != second.meaning
        and ALTERNATIVE.match(clause[first.end : second.start])
        and name in (first, second)
        for first, second in pairwise(names)
    )
    return Presence.UNCERTAIN if is_one_of_two else Presence.PRESENT


def _reaches(cue: Cue, name: Mention, names: Sequence[Mention], clause: str) -> bool:
    """Whether a cue bears on a name: from its own side of it, or from within."""
    one = cue.mention
    if name.start <= one.start and one.end <= name.end:
        return True
    if one.start <= name.start and name.end <= one.end:  # `no consolidation to suggest`
        return cue.presence is Presence.ABSENT and one.meaning == "before"
    follows = one.end <= name.start
    side = one.meaning
    if side == "around":  # of what follows, or else of what came before
        side = "before" if any(one.end <= other.start for other in names) else "after"
    if follows != (side == "before") or (not follows and one.start < name.end):
        return False
    if cue.presence is None and follows and HINDERED.search(clause, one.end, name.start):
        return False  # `evaluation is limited by effusions`: they are there
    if SHORT_SIGHTED.fullmatch(clause[one.start : one.end]) and gap(name, one) > NEAR:
        return False
    return follows or not _is_attached(name, names, clause)


def _is_attached(name: Mention, names: Sequence[Mention], clause: str) -> bool:
    """Whether a name only says where another is: `oedema around the metastasis has subsided`."""
    before = [other for other in names if other.end <= name.start]
    return bool(before) and bool(ATTACHES.search(clause[before[-1].end : name.start]))


def gap(one: Mention, other: Mention) -> int:
    """Letters between the two; 0 if they touch or overlap."""
    return max(one.start - other.end, other.start - one.end, 0)


def overlaps(one: Mention, others: Iterable[Mention]) -> bool:
    """Whether a mention shares a letter with any of the others."""
    return any(one.start < other.end and other.start < one.end for other in others)
