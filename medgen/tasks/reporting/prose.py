"""Prose of a table: sentences that are read back, and kept only where the table says the same.

What a writer invents is dropped, and what it leaves out is said in a plain sentence: the report
says all that the table does, and nothing else. What the table does not assess is not denied: a last
sentence says that it cannot be assessed.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from medgen.encoders.finder import SIDES
from medgen.finding import Course, Finding, Presence, Side
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import Phrases
from medgen.metrics.report_text import sentences_of
from medgen.phantom.report import DEGREES, NOUNS, REGIONS, SEVERITIES
from medgen.tasks.facts import claims_in
from medgen.tasks.reporting.table import Row

SECTION = re.compile(r"\b(FINDINGS|IMPRESSION|TECHNIQUE)\s*:", re.IGNORECASE)
NOTHING = "No abnormality detected."
ROUNDING = 0.5  # mm


@dataclass(frozen=True)
class Sentence:
    """A sentence, and the claims of the table that it rests on; none: that nothing is there."""

    text: str
    claims: tuple[str, ...]


@dataclass(frozen=True)
class Prose:
    """The two parts of a report.

    Attributes:
        findings: What is seen, sentence by sentence.
        impression: What of it matters.
        dropped: Sentences that the table contradicts, or knows nothing of.
        added: How many plain sentences had to be added.
    """

    findings: tuple[Sentence, ...]
    impression: tuple[Sentence, ...]
    dropped: tuple[str, ...]
    added: int

    @property
    def text(self) -> str:
        """Both with their headings."""
        parts = (("FINDINGS", self.findings), ("IMPRESSION", self.impression))
        return "\n".join(
            f"{heading}: {' '.join(one.text for one in said)}" for heading, said in parts
        )


def prose_of(words: str, rows: Sequence[Row], phrases: Phrases) -> Prose:
    """The report of a table, in a writer's words as far as they are true.

    Args:
        words: With or without headings; what has none counts as findings.
        rows: The table.
        phrases: What words mean.
    """
    sections = _sections(words)
    dropped: list[str] = []
    unknown = tuple(_unknown(rows))
    findings, plain = _section(sections.get("FINDINGS", ""), rows, phrases, dropped)
    impression, more = _section(
        sections.get("IMPRESSION", ""), [_unmeasured(row) for row in rows], phrases, dropped
    )
    impression = [one for one in impression if not _is_denial(one, rows)]
    return Prose(
        (*findings, *unknown),
        tuple(impression) or _nothing(rows) or unknown,
        tuple(dropped),
        plain + more,
    )


def read_back(words: str, rows: Sequence[Row], phrases: Phrases) -> Prose:
    """A text as it stands, with what of it the table contradicts, and what cannot be assessed."""
    sections = _sections(words)
    dropped: list[str] = []
    said = {
        name: tuple(_all_sentences(sections.get(name, ""), rows, phrases, dropped))
        for name in ("FINDINGS", "IMPRESSION")
    }
    findings = (*said["FINDINGS"], *_unknown(rows))
    return Prose(findings, said["IMPRESSION"], tuple(dropped), 0)


def _sections(words: str) -> dict[str, str]:
    parts = SECTION.split(words)
    named = {name.upper(): text for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    return {"FINDINGS": parts[0], **named} if parts[0].strip() else named


def _all_sentences(
    words: str, rows: Sequence[Row], phrases: Phrases, dropped: list[str]
) -> Iterator[Sentence]:
    for text in _closed_sentences(words):
        claims = _claims_of(text, rows, phrases)
        if claims is None:
            dropped.append(text)
        yield Sentence(text, claims or ())


def _section(
    words: str, rows: Sequence[Row], phrases: Phrases, dropped: list[str]
) -> tuple[list[Sentence], int]:
    """The true sentences, each saying something new, and how many were added."""
    kept: list[Sentence] = []
    told: set[str] = set()
    for text in _closed_sentences(words):
        claims = _claims_of(text, rows, phrases)
        if not claims:
            dropped.append(text)
        elif not set(claims) <= told:
            kept.append(Sentence(text, claims))
            told |= set(claims)
    left = [row for row in rows if _must_be_told(row) and row.claim not in told]
    kept += [Sentence(plain_sentence(row.finding), (row.claim,)) for row in left]
    if not any(_must_be_told(row) for row in rows):
        kept += _nothing(rows)
    return kept, len(left)


def _nothing(rows: Sequence[Row]) -> tuple[Sentence, ...]:
    """That nothing is there; where nothing can be assessed, nobody can say so."""
    return (Sentence(NOTHING, ()),) if not rows or any(row.is_assessed for row in rows) else ()


def _must_be_told(row: Row) -> bool:
    return row.finding.presence is not Presence.ABSENT or row.finding.course is Course.GONE


def _is_denial(one: Sentence, rows: Sequence[Row]) -> bool:
    """Whether a sentence says only what is not there: that is no impression."""
    return bool(one.claims) and not any(
        _must_be_told(row) for row in rows if row.claim in one.claims
    )


def _unknown(rows: Sequence[Row]) -> Iterator[Sentence]:
    """Sentences that say of what nothing can be told; one for each side, and one for no side."""
    sides: dict[str, list[str]] = {}
    rows = [row for row in rows if not row.is_assessed]
    for row in sorted(rows, key=lambda row: row.claim):
        sides.setdefault(row.finding.name, []).append(str(row.finding.side or ""))
    for side in ("", *map(str, SIDES)):
        names = [name for name, on in sides.items() if side == (on[0] if len(on) == 1 else "")]
        if names:
            claims = tuple(row.claim for row in rows if row.finding.name in names)
            *most, last = map(_plain_name, names)
            listed = f"{', '.join(most)} or {last}" if most else last
            yield Sentence(_closed(f"{side} {listed} cannot be assessed"), claims)


def _unmeasured(row: Row) -> Row:
    return replace(row, finding=replace(row.finding, size_mm=None))


def _closed_sentences(words: str) -> Iterator[str]:
    for one in sentences_of(words):
        text = " ".join(one.split())
        if text:
            yield f"{text[0].upper()}{text[1:]}."


def _claims_of(text: str, rows: Sequence[Row], phrases: Phrases) -> tuple[str, ...] | None:
    """The claims that a sentence states, all of them true; None if one is not."""
    stated: list[str] = []
    for finding in read_findings(text, phrases):
        claims = _true_claims(finding, rows)
        if claims is None:
            return None
        stated += claims
    return tuple(dict.fromkeys(stated))


def _true_claims(said: Finding, rows: Sequence[Row]) -> list[str] | None:
    """The rows that say just this; None where one says otherwise, or none says anything."""
    wanted = claims_in(said)
    named = [row for row in rows if row.finding.name == said.name]
    about = [row for row in named if said.side is None or row.claim in wanted]
    if not about or (said.side is not None and len(about) < len(wanted)):
        return None
    if said.presence is Presence.ABSENT:
        is_true = all(
            row.finding.presence is Presence.ABSENT
            and row.finding.course is said.course
            and row.is_assessed
            for row in about
        )
    else:
        is_true = all(_says(row.finding, said) for row in about)
        is_true = is_true and (said.side is not None or len(about) == 1)
        is_true = is_true and all(
            (row.finding.side is None) == (said.side is None) for row in about
        )
    return [row.claim for row in about] if is_true else None


def _says(row: Finding, said: Finding) -> bool:
    """Whether a row says all that a sentence does; of course and size it must say all itself."""
    is_size = said.size_mm is None or (
        row.size_mm is not None and abs(row.size_mm - said.size_mm) <= ROUNDING
    )
    return (
        row.presence is said.presence
        and is_size
        and (row.size_mm is None or said.size_mm is not None)
        and said.region in (None, row.region)
        and said.severity in (None, row.severity)
        and said.course is row.course
    )


def plain_sentence(finding: Finding) -> str:
    """One row in one sentence, always in the same words.

    Example:
        >>> plain_sentence(Finding("nodule", side=Side.LEFT, region="lower_lobe", size_mm=12.0))
        'Nodule in the left lower lobe, measuring 12 mm.'
        >>> plain_sentence(Finding("oedema", Presence.UNCERTAIN, severity="small"))
        'Possible mild pulmonary oedema.'
    """
    noun, name = NOUNS.get(finding.name), _plain_name(finding.name)
    side = str(finding.side) if finding.side else ""
    if finding.course is Course.GONE:
        return _closed(f"the previous {side} {name} has resolved")
    before = [] if finding.presence is Presence.PRESENT else ["possible"]
    before += [str(finding.course)] if finding.course else []
    if finding.severity:
        degrees = DEGREES if noun and not noun.counts else SEVERITIES
        before.append(degrees[finding.severity][0])
    where = ""
    if finding.region:
        region = REGIONS.get(finding.region, (finding.region.replace("_", " "),))[0]
        where = f" in the {side} {region}"
    elif side:
        before.append("bilateral" if finding.side is Side.BOTH else side)
    size = f", measuring {finding.size_mm:g} mm" if finding.size_mm else ""
    return _closed(f"{' '.join([*before, name])}{where}{size}")


def _plain_name(name: str) -> str:
    noun = NOUNS.get(name)
    return noun.names[0] if noun else name.replace("_", " ")


def _closed(words: str) -> str:
    words = " ".join(words.split())
    return f"{words[0].upper()}{words[1:]}."
