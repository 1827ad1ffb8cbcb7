"""One reference and what was made of it, side by side, in words for the patient."""

from pathlib import Path

from medgen.errors import UsageError
from medgen.instruct.instruction import Instruction, Role
from medgen.io import files
from medgen.io.before_after import write_before_after
from medgen.tasks.generate import understood
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.generating.plain_words import explained, picture_of
from medgen.tasks.generating.requests import Request
from medgen.tasks.generating.sidecar import provenance_of
from medgen.tasks.instructing.references import Pointed, is_label_map, read_references

SCANS = (Role.SUBJECT, Role.LOOK, Role.CONTEXT, Role.ANATOMY)  # what is likeliest somebody's scan


def before_of(request: Request) -> Pointed:
    """The reference that a sheet shows: the subject's, else another scan.

    Raises:
        InputError: If a reference cannot be read.
        UsageError: If there is none that is a scan.
    """
    references = read_references(Instruction.parse(request.text, request.references))
    scans = [one for role in SCANS for one in references if one.role is role and _is_scan(one)]
    if not scans:
        raise UsageError("--sheet: shows what was before; give a scan as --ref")
    return scans[0]


def _is_scan(one: Pointed) -> bool:
    """Whether it is no label map; anatomy can be either."""
    is_drawn = one.role is Role.ANATOMY and is_label_map(one.image.voxels)
    return one.image.kind is not None and not is_drawn


def write_patient_sheet(request: Request, made: Path, config: GenerateConfig, path: Path) -> Path:
    """Draw a sheet.

    Args:
        request: The prompt, and its references.
        made: What was made of it.
        config: How.
        path: PNG to write.

    Raises:
        UsageError: If no reference is a scan.
        OutputError: If it exists or cannot be written.
    """
    before, after = before_of(request), files.read(made)
    prompt = understood(request.text, request.settled(config))
    roles = [
        one.role
        for one in read_references(Instruction.parse(request.text, request.references))
        if one.image.source == before.image.source
    ]
    return write_before_after(
        before.image,
        after,
        path,
        titles=(
            f"Before: the {picture_of(before.image.kind)} that was given",
            f"After: a made-up {picture_of(after.kind or config.kinds[0])}",
        ),
        words=explained(prompt.text, prompt.findings, roles),
        provenance=provenance_of(request.settled(config)),
        overwrite=config.overwrite,
    )
