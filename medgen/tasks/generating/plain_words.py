"""Findings and references as a person without medical training would say them."""

from collections.abc import Sequence

from medgen.finding import Finding, Presence, Side
from medgen.instruct.instruction import Role
from medgen.modality import Kind, Modality

NOUNS = {
    "pleural_effusion": "fluid around the lung",
    "pneumothorax": "air between the lung and the chest wall",
    "consolidation": "a part of the lung filled with fluid instead of air",
    "pneumonia": "an infection of the lung",
    "atelectasis": "a part of the lung without air in it",
    "nodule": "a small round spot in the lung",
    "mass": "a large lump in the lung",
    "lung_opacity": "a white area in the lung",
    "oedema": "too much water in the lungs",
    "cardiomegaly": "an enlarged heart",
    "enlarged_mediastinum": "a wide space between the lungs",
    "emphysema": "lungs that hold too much air",
    "pleural_other": "a change of the skin around the lung",
    "fracture": "a broken bone",
    "device": "something that was put in, such as a pacemaker or a tube",
    "haemorrhage": "bleeding in the head",
    "infarct": "a part of the brain that had too little blood",
    "brain_mass": "a lump in the brain",
    "mass_effect": "parts of the brain pushed aside",
    "brain_oedema": "swelling of the brain",
    "ventriculomegaly": "wide fluid spaces in the brain",
    "atrophy": "a brain that has become smaller",
    "calcification": "chalk in the brain",
    "midline_shift": "the middle of the brain pushed to one side",
}
SIZES = {"moderate": "medium"}  # other severities are plain words
SIDES = {Side.LEFT: "on the left", Side.RIGHT: "on the right", Side.BOTH: "on both sides"}
PICTURES = {Modality.XRAY: "X-ray picture", Modality.CT: "CT scan", Modality.MRI: "MRI scan"}
TAKEN = {
    Role.LOOK: "how bright and how sharp the picture is",
    Role.SUBJECT: "the person",
    Role.ANATOMY: "the shape of the body",
    Role.REGION: "the place to change",
    Role.CONTEXT: "an example",
}
WARNINGS = (
    "The picture on the right was made by a computer. It is not a scan of anybody. It can show "
    "things that are not there, and leave out things that are.",
    "It says nothing about anybody's health, and what it shows need not happen. It must not be "
    "used to find or to treat an illness. Please ask your doctor.",
    "Left and right are those of the person: their left side is on the right of a picture from "
    "the front.",
)


def plainly(finding: Finding) -> str:
    """A finding in plain words, and in brackets as doctors call it.

    Example:
        >>> plainly(Finding("pleural_effusion", side=Side.LEFT, severity="large"))
        'fluid around the lung, on the left, large (doctors say: pleural effusion)'
        >>> plainly(Finding("fracture", Presence.ABSENT))
        'not there: a broken bone (doctors say: fracture)'
    """
    name = finding.name.replace("_", " ")
    noun = NOUNS.get(finding.name, name)
    size = f"{finding.size_mm:g} mm wide" if finding.size_mm else None
    side = SIDES[finding.side] if finding.side else None
    severity = SIZES.get(finding.severity or "", finding.severity)
    said = ", ".join(part for part in (noun, side, severity, size) if part)
    doubt = {Presence.ABSENT: "not there: ", Presence.UNCERTAIN: "perhaps "}
    return f"{doubt.get(finding.presence, '')}{said} (doctors say: {name})"


def picture_of(kind: Kind | None) -> str:
    """What a kind of image is called."""
    return PICTURES.get(kind.modality, "picture") if kind else "picture"


def explained(text: str, findings: Sequence[Finding], roles: Sequence[Role]) -> list[str]:
    """What was asked for, and what a made-up picture is not: a paragraph each.

    Args:
        text: What was asked for, without the references.
        findings: What was understood of it.
        roles: What is taken from the picture that was given.
    """
    shown = "; ".join(map(plainly, findings)) or "nothing that it knows by name"
    lines = [f"What was asked for: {text}"] if text else []
    taken = " and ".join(dict.fromkeys(TAKEN[role] for role in roles))
    return [
        *lines,
        f"What the computer was to show: {shown}.",
        f"What it was to take from the picture on the left: {taken}.",
        *WARNINGS,
    ]
