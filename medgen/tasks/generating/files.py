"""Generate files: one prompt read, its images written with their sidecars."""

import time
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from medgen.errors import UsageError
from medgen.instruct.instruction import Instruction
from medgen.instruct.wording import worded
from medgen.io import files
from medgen.io.atomic import all_or_nothing, check_writable
from medgen.io.image import MedicalImage
from medgen.io.names import SLICES, is_file_name, stem_of
from medgen.io.sidecar import sidecar_path, write_sidecar
from medgen.modality import Kind
from medgen.tasks.flows.prompt import Prompt, in_words
from medgen.tasks.generate import Sample, generate, load_generator, understood
from medgen.tasks.generating.agreement import Agreement
from medgen.tasks.generating.config import GenerateConfig, formats_of, is_flat
from medgen.tasks.generating.requests import DIGITS, Request
from medgen.tasks.generating.sidecar import details_of, provenance_of, shown_of
from medgen.tasks.instructing.model import roles_taught
from medgen.tasks.instructing.references import read_references

ENDINGS = {"png": (".png",), "dicom": (".dcm",), "nifti": (".nii.gz", ".nii")}


@dataclass(frozen=True)
class Written:
    """What one image of a sample left on disk.

    Attributes:
        output: The image.
        kind: What it is.
        sidecar: The JSON beside it.
        prompt: Its prompt, as it was understood.
        index: Number among the samples of the prompt, from 0.
        agreement: With the prompt; None where nothing can be compared.
        model: Name of the model.
        model_sha256: Hash of its card.
        device: Where it was made.
        seconds: Since the sample before it.
    """

    output: Path
    kind: Kind
    sidecar: Path
    prompt: Prompt
    index: int
    agreement: Agreement | None
    model: str
    model_sha256: str
    device: str
    seconds: float


def outputs_of(request: Request, config: GenerateConfig, out: Path) -> list[Path]:
    """Where the images of a prompt go, sample after sample, each with its kinds in their order.

    Args:
        request: The prompt.
        config: How many, and in which format.
        out: A file's name for a single sample, else a folder.

    Raises:
        UsageError: If one file is to hold several, or has another format's name.
    """
    name, kinds = out.name.lower(), config.kinds
    formats = [form for form in formats_of(kinds[0]) if len(kinds) == 1]
    own = next((form for form in formats if name.endswith(ENDINGS[form])), None)
    if own and not out.is_dir():
        if config.number > 1:
            raise UsageError(f"-o {out}: names one file for {config.number} samples; name a folder")
        if config.format and own != config.format:
            raise UsageError(f"-o {out}: is no {config.format}; leave out --format, or rename it")
        return [out]
    if is_file_name(out):
        words = "; ".join(
            f"{kind} is written as {', '.join(ENDINGS[form][0] for form in formats_of(kind))}"
            for kind in kinds
        )
        raise UsageError(f"-o {out}: {words}; name a folder for several")
    return [
        out / f"{request.id}-{index + 1:0{DIGITS}d}{_slug(kind, config)}{_ending(kind, config)}"
        for index in range(config.number)
        for kind in kinds
    ]


def _slug(kind: Kind, config: GenerateConfig) -> str:
    return f"_{kind.slug}" if len(config.kinds) > 1 else ""


def _ending(kind: Kind, config: GenerateConfig) -> str:
    form = config.format or formats_of(kind)[0]
    return "" if form == "dicom" and not is_flat(kind) else ENDINGS[form][0]  # a series is a folder


def write_samples(
    request: Request,
    sources: Sequence[MedicalImage],
    config: GenerateConfig,
    out: Path,
    *,
    skip_existing: bool = False,
) -> Iterator[Written]:
    """Make the samples of one prompt, a few at a time; each is written before it is told.

    Args:
        request: The prompt.
        sources: Images to be told of.
        config: How many, and how.
        out: See `outputs_of`.
        skip_existing: Make only the samples that are not there.

    Raises:
        MedgenError: In one line: what is wrong. No sample is left half written.
    """
    config = request.settled(config)
    paths, each = outputs_of(request, config, out), len(config.kinds)
    outputs = {index: paths[each * index : each * (index + 1)] for index in range(config.number)}
    if skip_existing:
        outputs = {
            index: files
            for index, files in outputs.items()
            if not all(path.exists() for path in files)
        }
    if not outputs:
        return
    prompt = understood(request.text, config)
    missing = [
        path
        for files in outputs.values()
        for path in files
        if not (skip_existing and path.exists())
    ]
    lone = {path for path in missing if skip_existing and _has_no_image(sidecar_path(path))}
    for path in missing:
        check_writable(path, overwrite=config.overwrite, replaces=SLICES)
        check_writable(sidecar_path(path), overwrite=config.overwrite or path in lone)
    instruction = Instruction.parse(request.text, config.references)
    references = read_references(instruction)
    shown = shown_of(instruction, references, config)
    started = time.perf_counter()
    for sample in generate(prompt, sources, config, list(outputs), references):
        chosen = {
            kind: path
            for kind, path in zip(config.kinds, outputs[sample.index], strict=True)
            if path in missing
        }
        yield from _write(sample, prompt, sources, config, chosen, started, shown, lone=lone)
        started = time.perf_counter()


def _has_no_image(sidecar: Path) -> bool:
    """Whether nothing of its name is beside a sidecar, so that it belongs to nobody."""
    beside = sidecar.parent.iterdir() if sidecar.parent.is_dir() else ()
    return all(one == sidecar or stem_of(one) != sidecar.stem for one in beside)


def _write(
    sample: Sample,
    prompt: Prompt,
    sources: Sequence[MedicalImage],
    config: GenerateConfig,
    paths: Mapping[Kind, Path],
    started: float,
    shown: dict[str, object],
    *,
    lone: Set[Path],
) -> list[Written]:
    """Write the images of a sample, all or none; sidecars of `lone` ones are replaced."""
    loaded, provenance = load_generator(config), provenance_of(config)
    written = []
    with all_or_nothing(*paths.values(), *map(sidecar_path, paths.values())) as undo:
        for kind, image in zip(config.kinds, sample.images, strict=True):
            if kind not in paths:
                continue
            details = details_of(sample, kind, image, prompt, sources, config) | shown
            replaces = config.overwrite or paths[kind] in lone
            sidecar = write_sidecar(paths[kind], provenance, details, overwrite=replaces)
            undo.append(sidecar)
            files.write(image, paths[kind], provenance=provenance, overwrite=config.overwrite)
            undo.append(paths[kind])
            seconds = round(time.perf_counter() - started, 3)
            written.append(
                Written(
                    paths[kind],
                    kind,
                    sidecar,
                    prompt,
                    sample.index,
                    sample.agreement,
                    loaded.card.name,
                    loaded.card.digest,
                    str(loaded.device),
                    seconds,
                )
            )
    return written


def unheard(config: GenerateConfig) -> str:
    """Why what is made together will only share the text; empty if flows hear each other."""
    loaded, kinds = load_generator(config), config.kinds
    if len(kinds) < 2 or not config.cross or any(loaded.hears(kind.modality) for kind in kinds):
        return ""
    names = " and ".join(str(kind.modality) for kind in kinds)
    return (
        f"{loaded.card.name}: {names} never learned to hear each other; they share the text alone"
    )


def untaught(instruction: Instruction, config: GenerateConfig) -> str:
    """Which references the model never learned to take so; empty if it has learned all roles."""
    card, roles = load_generator(config).card, worded(instruction).roles
    taught = set.intersection(*(roles_taught(card, kind.modality) for kind in config.kinds))
    marks = [
        f"[ref#{one.number}] {role}"
        for one, role in zip(instruction.references, roles, strict=True)
        if role not in taught
    ]
    if not marks:
        return ""
    known = ", ".join(sorted(taught))
    return (
        f"{', '.join(marks)}: is nothing that this model learned; say --ref N=FILE:ROLE of {known}"
    )


def described(prompt: Prompt) -> str:
    """One line for a person: what of a prompt was understood."""
    said = ", ".join(map(in_words, prompt.findings)) or "no finding"
    return f"understood: {said}"


def pointed(instruction: Instruction) -> str:
    """One line for a person: what each reference is taken for.

    Example:
        >>> pointed(Instruction.parse("in the look of [ref#1]", ["1=a.png"]))
        'references: [ref#1] look'
    """
    roles = zip(instruction.references, worded(instruction).roles, strict=True)
    return f"references: {', '.join(f'[ref#{one.number}] {role}' for one, role in roles)}"
