"""What a prompt says, as far as a flow can hear it, and what it will not hear."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from medgen.diffusion.noise import generator_for
from medgen.encoders.tokenizer import Tokenizer
from medgen.finding import Finding, Presence
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import Phrases
from medgen.phantom import head_findings
from medgen.phantom.report import NOUNS, write_report

HEAD, CHEST = "head", "chest"
PARTS = {
    HEAD: {"head", "brain", "skull", "cranial", "intracranial", "cerebral"},
    CHEST: {"chest", "thorax", "thoracic", "lung", "lungs", "pulmonary", "heart", "cardiac"},
}
"""Words that say which part of the body is meant, where no finding says it."""


@dataclass(frozen=True)
class Prompt:
    """A prompt, read.

    Attributes:
        text: As it was given.
        findings: What it states, and the flow was trained on.
        ignored: Names of findings that it states, and the flow never saw.
        unseen: Words that the text encoder never read, and that are not retold.
        cut: The words at the end that do not fit.
        retold: What it states, in the words that encoders and flows were trained on; empty where
            there are none for it.
        there: The same without what is absent, unless nothing is there.
    """

    text: str
    findings: tuple[Finding, ...]
    ignored: tuple[str, ...]
    unseen: tuple[str, ...]
    cut: str
    retold: str = ""
    there: str = ""

    @property
    def named(self) -> tuple[str, ...]:
        """The findings that it speaks of, whether the flow knows them or not."""
        return (*(one.name for one in self.findings), *self.ignored)

    @property
    def anatomies(self) -> set[str]:
        """The parts of the body that its findings are of, or else its words; maybe none."""
        words = set(re.findall(r"[a-z]+", self.text.lower()))
        spoken_of = {part for part, known in PARTS.items() if known & words}
        return {anatomy_of(name) for name in self.named} or spoken_of

    @property
    def is_misread(self) -> bool:
        """Whether part of it is lost."""
        return bool(self.ignored or self.unseen or self.cut)

    @property
    def lost(self) -> str:
        """What is lost, in words; empty if nothing is."""
        parts = [
            f"never trained on: {', '.join(self.ignored)}" if self.ignored else "",
            f"words never read: {', '.join(self.unseen)}" if self.unseen else "",
            f"does not fit: '{self.cut}'" if self.cut else "",
        ]
        return "; ".join(filter(None, parts))


def anatomy_of(finding: str) -> str:
    """The part of the body that has a finding."""
    return HEAD if finding in head_findings.NAMES else CHEST


def read_prompt(
    text: str,
    phrases: Phrases,
    tokenizer: Tokenizer,
    *,
    known: Collection[str] | None,
    max_tokens: int,
) -> Prompt:
    """Read a prompt.

    Args:
        text: In English; empty for none.
        phrases: What words mean.
        tokenizer: Of the text encoder.
        known: Findings that the flow was trained on; None if nobody says.
        max_tokens: That the text encoder takes.
    """
    kept, cut = tokenizer.split(text, max_tokens=max_tokens)
    said = read_findings(kept, phrases)
    heard = tuple(one for one in said if known is None or one.name in known)
    ignored = tuple(dict.fromkeys(one.name for one in said if one not in heard))
    retold, there = retold_as(heard, with_absent=True), retold_as(heard)
    if tokenizer.split(retold, max_tokens=max_tokens)[1]:
        retold = there = ""
    unseen = tokenizer.unseen(phrases.rest(text) if retold else text)
    return Prompt(text, heard, ignored, unseen, cut, retold, there)


def retold_as(findings: Sequence[Finding], *, with_absent: bool = False) -> str:
    """A report of findings, always in the same words; empty where there are none for it.

    Args:
        findings: What is said.
        with_absent: Tell what is absent; if not, only where nothing is there. A report without it
            says the same, in fewer sentences.
    """
    there = [one for one in findings if one.presence is not Presence.ABSENT]
    if not findings or any(one.name not in NOUNS for one in findings):
        return ""
    told = findings if with_absent or not there else there
    return write_report(told, generator=generator_for(0, 0)).text


def in_words(finding: Finding) -> str:
    """A finding in a few words.

    Example:
        >>> from medgen.finding import Side
        >>> in_words(Finding("pleural_effusion", side=Side.LEFT, severity="large"))
        'pleural effusion (left, large)'
        >>> in_words(Finding("pneumothorax", Presence.ABSENT, Side.RIGHT))
        'no pneumothorax (right)'
    """
    name = finding.name.replace("_", " ")
    size = f"{finding.size_mm:g} mm" if finding.size_mm else None
    region = finding.region.replace("_", " ") if finding.region else None
    details = [str(each) for each in (finding.side, region, finding.severity, size) if each]
    said = {Presence.ABSENT: f"no {name}", Presence.UNCERTAIN: f"perhaps {name}"}
    words = said.get(finding.presence, name)
    return f"{words} ({', '.join(details)})" if details else words
