"""Reports: the facts of a simulated patient in a radiologist's words, many ways of saying each.

What is written can be read back: `metrics.findings` finds the same facts in it, which a test makes
sure of. A quarter of the sentences and nouns is held out, so that a reader of reports can be asked
whether it understands what it has never seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator

from medgen.finding import Course, Finding, Presence, Side
from medgen.phantom.field import generator_of, uniform

HELD_OUT = 4  # every so many-th way of saying something is held out

# {it} is the finding with its adjectives; {where} and {size} may be empty; {is} may be `are`.
PRESENT = (
    "there {is} {it}{where}{size}",
    "{it}{where}{size}",
    "{it} {is} seen{where}{size}",
    "{it}{size} {is} present{where}",
    "{it} {is} noted{where}{size}",
    "evidence of {it}{where}{size}",
    "the study shows {it}{where}{size}",
    "appearances are those of {it}{where}{size}",
    "findings in keeping with {it}{where}{size}",
    "{it}{size} {is} demonstrated{where}",
    "{it} {is} identified{where}{size}",
    "note is made of {it}{where}{size}",
    "{it}{size} can be made out{where}",
    "we see {it}{where}{size}",
    "{it} {is} visible{where}{size}",
    "the images reveal {it}{where}{size}",
)
UNCERTAIN = (
    "possible {it}{where}{size}",
    "{it}{where} cannot be excluded",
    "there may be {it}{where}{size}",
    "findings suspicious for {it}{where}{size}",
    "probable {it}{where}{size}",
    "appearances could represent {it}{where}{size}",
    "questionable {it}{where}{size}",
    "suspected {it}{where}{size}",
    "{it}{where} {is} possible",
    "findings suggestive of {it}{where}{size}",
    "{it}{where} cannot be ruled out",
    "appearances may reflect {it}{where}{size}",
    "concerning for {it}{where}{size}",
    "{it}{where} {is} suspected",
)
ABSENT = (
    "no {it}{where}",
    "there is no {it}{where}",
    "no evidence of {it}{where}",
    "no {it} is seen{where}",
    "there is no evidence of {it}{where}",
    "no sign of {it}{where}",
    "{it} {is} not seen{where}",
    "no {it} is identified{where}",
    "negative for {it}{where}",
    "{it} {is} absent{where}",
    "the study is negative for {it}{where}",
    "no {it} is demonstrated{where}",
    "without evidence of {it}{where}",
    "{it} {is} not identified{where}",
    "there are no signs of {it}{where}",
    "the images show no {it}{where}",
)
GONE = (
    "{it}{where} {has} resolved",
    "resolution of {it}{where}",
    "{it}{where} {is} no longer seen",
    "{it} {is} no longer visible{where}",
    "the previous {it}{where} {has} resolved",
    "{it}{where} {is} no longer present",
    "interval resolution of {it}{where}",
    "{it}{where} {has} cleared",
    "complete resolution of {it}{where}",
    "the former {it}{where} {has} cleared",
    "the known {it}{where} {is} no longer seen",
    "the earlier {it}{where} {is} no longer visible",
)
COURSES = {  # adjectives
    Course.NEW: ("new", "newly developed", "newly seen"),
    Course.UNCHANGED: ("unchanged", "stable", "persistent"),
    Course.LARGER: ("larger", "increased", "enlarging"),
}
SENTENCES = {
    Presence.PRESENT: PRESENT,
    Presence.UNCERTAIN: UNCERTAIN,
    Presence.ABSENT: ABSENT,
}
SIZES = (
    ", measuring {mm} mm",
    " of {mm} mm",
    " ({mm} mm)",
    ", {mm} mm in diameter",
    ", measuring {cm} cm",
    " of {cm} cm",
    ", {mm} mm across",
    ", {cm} cm in size",
)
NOTHING_ELSE = (
    "no acute abnormality",
    "normal study",
    "no significant abnormality",
    "unremarkable examination",
    "no abnormality detected",
    "normal appearances",
)
PLURALS = {
    "thorax": "thoraces",
    "focus": "foci",
    "apex": "apices",
    "hilum": "hila",
    "thalamus": "thalami",
    "ganglia": "ganglia",
    "cerebellum": "cerebellum",
    "pons": "pons",
    "mass": "masses",
    "ity": "ities",
}
SEVERITIES = {  # of what can be counted
    "small": ("small", "minor", "tiny"),
    "moderate": ("moderate", "moderately sized"),
    "large": ("large", "extensive", "massive"),
}
DEGREES = {  # of the rest
    "small": ("mild", "slight", "minor"),
    "moderate": ("moderate",),
    "large": ("marked", "severe", "extensive"),
}
REGIONS = {
    "upper_lobe": ("upper lobe", "upper zone"),
    "middle_lobe": ("middle lobe", "mid zone"),
    "lower_lobe": ("lower lobe", "lower zone"),
    "lingula": ("lingula",),
    "apex": ("apex",),
    "base": ("base",),
    "perihilar": ("perihilar region", "hilum"),
    "frontal": ("frontal lobe", "frontal region"),
    "parietal": ("parietal lobe", "parietal region"),
    "temporal": ("temporal lobe", "temporal region"),
    "occipital": ("occipital lobe", "occipital region"),
    "cerebellum": ("cerebellum",),
    "basal_ganglia": ("basal ganglia", "thalamus"),
    "brainstem": ("brainstem", "pons"),
}


@dataclass(frozen=True)
class Noun:
    """What a finding is called.

    Attributes:
        names: Synonyms, the usual one first.
        counts: Whether there can be `a` or several of it.
    """

    names: tuple[str, ...]
    counts: bool = True


NOUNS = {
    "pleural_effusion": Noun(("pleural effusion", "effusion", "pleural fluid collection")),
    "pneumothorax": Noun(("pneumothorax",)),
    "consolidation": Noun(
        ("consolidation", "airspace consolidation", "airspace disease"), counts=False
    ),
    "pneumonia": Noun(("pneumonia", "bronchopneumonia"), counts=False),
    "atelectasis": Noun(("atelectasis", "volume loss", "atelectatic change"), counts=False),
    "nodule": Noun(("nodule", "nodular opacity", "nodular density")),
    "mass": Noun(("mass", "mass lesion")),
    "lung_opacity": Noun(("opacity", "haziness", "opacification"), counts=False),
    "oedema": Noun(("pulmonary oedema", "interstitial oedema", "pulmonary edema"), counts=False),
    "cardiomegaly": Noun(("cardiomegaly", "enlargement of the heart"), counts=False),
    "enlarged_mediastinum": Noun(("mediastinal widening", "widened mediastinum"), counts=False),
    "emphysema": Noun(("emphysema", "emphysematous change"), counts=False),
    "fracture": Noun(("rib fracture", "fractured rib")),
    "device": Noun(("pacemaker", "cardiac pacemaker")),
    "haemorrhage": Noun(("haemorrhage", "haematoma", "hemorrhage", "intracerebral haemorrhage")),
    "infarct": Noun(("infarct", "infarction", "ischaemic stroke")),
    "brain_mass": Noun(("brain tumour", "intracranial mass", "cerebral mass")),
    "brain_oedema": Noun(("vasogenic oedema", "cerebral oedema", "brain oedema"), counts=False),
    "ventriculomegaly": Noun(
        ("ventriculomegaly", "ventricular enlargement", "ventricular dilatation"), counts=False
    ),
    "atrophy": Noun(("atrophy", "cerebral volume loss", "parenchymal volume loss"), counts=False),
    "calcification": Noun(("calcification", "calcified focus")),
    "midline_shift": Noun(("midline shift", "shift of the midline"), counts=False),
}


@dataclass(frozen=True)
class Report:
    """What a radiologist would have written.

    Attributes:
        findings: What is seen, sentence by sentence.
        impression: What matters, in a line or two.
        technique: How it was taken; empty where nobody says.
    """

    findings: str
    impression: str
    technique: str = ""

    @property
    def text(self) -> str:
        """The whole report with its headings."""
        parts = [("TECHNIQUE", self.technique), ("FINDINGS", self.findings)]
        parts.append(("IMPRESSION", self.impression))
        return "\n".join(f"{heading}: {words}" for heading, words in parts if words)


def write_report(
    findings: Sequence[Finding],
    *,
    generator: Generator,
    technique: str = "",
    held_out: bool = False,
) -> Report:
    """Say what is true of a patient: all findings, then what is, may be or was there, unmeasured.

    Args:
        findings: Facts, the absent ones that are worth a word among them.
        generator: Chooses the words.
        technique: A sentence that comes first.
        held_out: Say it in words that are kept from training instead.

    Raises:
        ValueError: If a finding has a name that there is no word for.
    """
    if unknown := sorted({one.name for one in findings} - NOUNS.keys()):
        raise ValueError(f"there is no word for {', '.join(unknown)}")
    seed = int(torch.randint(2**62, (), generator=generator))
    nothing = _closed(_one_of(NOTHING_ELSE, generator, held_out))
    short = [
        replace(one, size_mm=None)
        for one in findings
        if one.presence is not Presence.ABSENT or one.course is not None
    ]
    said, concluded = (
        " ".join(_sentences(of, seed, part, held_out)) or nothing
        for part, of in (("findings", findings), ("impression", short))
    )
    return Report(said, concluded, technique)


def _sentences(findings: Sequence[Finding], seed: int, part: str, held_out: bool) -> Iterator[str]:
    """Each finding in words of its own, which do not depend on what else is said."""
    for at, one in enumerate(findings):
        before = sum(other.name == one.name for other in findings[:at])
        generator = generator_of(seed, before, part, one.name)
        yield sentence(one, generator=generator, held_out=held_out)


def sentence(finding: Finding, *, generator: Generator, held_out: bool = False) -> str:
    """One fact in one sentence."""
    is_gone = finding.course is Course.GONE
    templates = GONE if is_gone else SENTENCES[finding.presence]
    template = _one_of(templates, generator, held_out)
    noun = NOUNS[finding.name]
    name = _one_of(noun.names, generator, held_out)
    adjectives, where = _placed(finding, generator)
    is_absent = finding.presence is Presence.ABSENT
    if finding.severity:
        words_for = SEVERITIES if noun.counts else DEGREES
        adjectives = [_one_of(words_for[finding.severity], generator, False), *adjectives]
    if finding.course in COURSES:
        adjectives = [_one_of(COURSES[finding.course], generator, False), *adjectives]
    are_several = finding.side is Side.BOTH and noun.counts
    if are_several:
        name = _several(name)
    elif noun.counts and not is_absent:
        first = (*adjectives, name)[0]
        adjectives = ["an" if first[0] in "aeiou" else "a", *adjectives]
    size = _size(finding.size_mm, generator, held_out) if finding.size_mm else ""
    if not is_absent and "{size}" not in template and size:
        where += size
    verbs = {"is": "are", "has": "have"} if are_several else {"is": "is", "has": "has"}
    words = template.format(it=" ".join([*adjectives, name]), where=where, size=size, **verbs)
    return _closed(words)


def _placed(finding: Finding, generator: Generator) -> tuple[list[str], str]:
    """Where it is: as adjectives before the noun, or as words behind it."""
    region = _one_of(REGIONS[finding.region], generator, False) if finding.region else None
    side = finding.side
    if side is Side.BOTH:
        return ["bilateral"], f" in the {_several(region)}" if region else ""
    if region and side:
        return [], f" in the {side} {region}"
    if region:
        return [], f" in the {region}"
    if side is None:
        return [], ""
    ways: list[tuple[list[str], str]] = [
        ([f"{side}"], ""),
        ([f"{side}-sided"], ""),
        ([], f" on the {side}"),
    ]
    return ways[int(uniform(0, len(ways), generator))]


def _size(millimetres: float, generator: Generator, held_out: bool) -> str:
    return _one_of(SIZES, generator, held_out).format(
        mm=f"{millimetres:g}", cm=f"{millimetres / 10:g}"
    )


def _one_of(ways: Sequence[str], generator: Generator, held_out: bool) -> str:
    """One way of several; from the held-out ones where there are any, or from the others."""
    kept = [way for at, way in enumerate(ways) if (at % HELD_OUT == HELD_OUT - 1) == held_out]
    kept = kept or list(ways)
    return kept[int(uniform(0, len(kept), generator))]


def _several(name: str) -> str:
    """The plural; Latin words keep theirs."""
    for ending, plural in PLURALS.items():
        if name.endswith(ending):
            return name.removesuffix(ending) + plural
    return f"{name}s"


def _closed(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
