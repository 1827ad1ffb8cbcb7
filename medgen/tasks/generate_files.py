"""Generate files: one prompt read, its images written with their sidecars."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medgen.errors import InputError, UsageError
from medgen.instruct.instruction import Instruction
from medgen.instruct.wording import worded
from medgen.io import files
from medgen.io.atomic import all_or_nothing, check_writable
from medgen.io.image import MedicalImage
from medgen.io.names import safe_name
from medgen.io.provenance import Provenance
from medgen.io.sidecar import sidecar_path, write_sidecar
from medgen.modality import FACTS, Kind
from medgen.tasks.generate import (
    GenerateConfig,
    Sample,
    formats_of,
    generate,
    is_flat,
    load_generator,
    said_of,
    understood,
)
from medgen.tasks.given import Given
from medgen.tasks.prompt import Prompt, in_words
from medgen.tasks.references import Pointed, read_references

ENDINGS = {"png": (".png",), "dicom": (".dcm",), "nifti": (".nii.gz", ".nii")}
DIGITS = 4  # of a sample's number in its file name


@dataclass(frozen=True)
class Request:
    """One prompt of a batch.

    Attributes:
        id: Names its files.
        text: The prompt.
        seed: Of its samples; the config's if it is None.
        references: What its marks point at, as `--ref` takes it.
    """

    id: str
    text: str
    seed: int | None = None
    references: tuple[str, ...] = ()

    def settled(self, config: GenerateConfig) -> GenerateConfig:
        """The config with what the request says itself."""
        seed = config.seed if self.seed is None else self.seed
        return replace(config, seed=seed, references=self.references)


@dataclass(frozen=True)
class Written:
    """What one image of a sample left on disk.

    Attributes:
        output: The image.
        kind: What it is.
        sidecar: The JSON beside it.
        prompt: Its prompt, as it was understood.
        index: Number among the samples of the prompt, from 0.
        agreement: With the prompt, -1 to 1; None without a prompt.
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
    agreement: float | None
    model: str
    model_sha256: str
    device: str
    seconds: float


def read_requests(path: Path, first_seed: int = 0) -> list[Request]:
    """Prompts from a JSON Lines file: `{"text": …}`, and an `id` and a `seed` if you like.

    With `references`, it is an instruction as `Instruction.from_json` reads it; its files lie
    beside the JSON Lines, if their names are not absolute.

    One without a seed has `first_seed` and the number of its line, counted from 0: prompts that
    share a seed start from the same noise, and would make one patient again and again.

    Raises:
        InputError: If it cannot be read, is something else, or an id comes twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise InputError(f"{path}: cannot be read ({why})") from None
    requests = [
        _request(path, at, line, first_seed)
        for at, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not requests:
        raise InputError(f"{path}: has no prompts; write one JSON object a line")
    seen: set[str] = set()
    for one in requests:
        if one.id in seen:
            raise InputError(f"{path}: id '{one.id}' comes twice; its files would be the same")
        seen.add(one.id)
    return requests


def _request(path: Path, number: int, line: str, first_seed: int) -> Request:
    try:
        values = json.loads(line)
        text, name = values["text"], values.get("id", f"prompt-{number:0{DIGITS}d}")
        seed = values.get("seed", first_seed + number - 1)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f'{path}:{number}: is not {{"text": "…"}}; see --help') from None
    if odd := sorted(values.keys() - {"id", "text", "seed", "references"}):
        raise InputError(f"{path}:{number}: '{odd[0]}' is none of id, text, seed and references")
    if not isinstance(text, str) or not isinstance(name, str):
        raise InputError(f"{path}:{number}: id and text are written in quotes")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise InputError(f"{path}:{number}: the seed is a whole number from 0")
    try:
        words = Instruction.from_json(values).beside(path.parent).words
    except UsageError as error:
        raise InputError(f"{path}:{number}: {error}") from None
    return Request(safe_name(name), text, seed, words)


def read_sources(config: GenerateConfig) -> list[MedicalImage]:
    """The images that the prompt comes with; `KIND=FILE` says what a file does not.

    Raises:
        InputError: If one cannot be read.
        UsageError: If a kind is none, or the file says it is another.
    """
    images = []
    for word in config.sources:
        given = Given.parse(word)
        image = files.read(given.path)
        image = _named(image, given.kind, word) if given.kind else image
        if image.kind is not None and image.kind.view:
            raise UsageError(f"--from {word}: no model is told by a radiograph from the side")
        images.append(image)
    return images


def _named(image: MedicalImage, kind: Kind, word: str) -> MedicalImage:
    if image.kind is not None and image.kind.modality is not kind.modality:
        raise UsageError(f"--from {word}: the file says that it is {image.kind}")
    return replace(image, kind=kind)


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
    if name.endswith((*ENDINGS["png"], *ENDINGS["dicom"], *ENDINGS["nifti"], ".jpg", ".jpeg")):
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
    for path in missing:
        check_writable(path, overwrite=config.overwrite)
        # What is beside an image that is not there belongs to nobody.
        check_writable(sidecar_path(path), overwrite=config.overwrite or skip_existing)
    instruction = Instruction.parse(request.text, config.references)
    references = read_references(instruction)
    shown = _shown(instruction, references, config)
    started = time.perf_counter()
    for sample in generate(prompt, sources, config, list(outputs), references):
        chosen = {
            kind: path
            for kind, path in zip(config.kinds, outputs[sample.index], strict=True)
            if path in missing
        }
        yield from _write(
            sample, prompt, sources, config, chosen, started, shown, lone_sidecar=skip_existing
        )
        started = time.perf_counter()


def _write(
    sample: Sample,
    prompt: Prompt,
    sources: Sequence[MedicalImage],
    config: GenerateConfig,
    paths: Mapping[Kind, Path],
    started: float,
    shown: dict[str, object],
    *,
    lone_sidecar: bool,
) -> list[Written]:
    """Write the images of a sample, all or none."""
    loaded, provenance = load_generator(config), provenance_of(config)
    replaces = config.overwrite or lone_sidecar
    written = []
    with all_or_nothing() as undo:
        for kind, image in zip(config.kinds, sample.images, strict=True):
            if kind not in paths:
                continue
            details = _details(sample, kind, image, prompt, sources, config) | shown
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


def provenance_of(config: GenerateConfig) -> Provenance:
    """What the writers say about how an image was generated."""
    card = load_generator(config).card
    return Provenance("generate", card.name, card.digest, config.seed, config.steps)


def _details(
    sample: Sample,
    kind: Kind,
    image: MedicalImage,
    prompt: Prompt,
    sources: Sequence[MedicalImage],
    config: GenerateConfig,
) -> dict[str, object]:
    """What the sidecar says besides its marks; names no file."""
    return {
        "Kind": str(kind),
        "Unit": FACTS[kind.modality].unit,
        "Prompt": prompt.text,
        "Told": said_of(prompt, config),
        "Understood": [in_words(one) for one in prompt.findings],
        "NeverTrainedOn": list(prompt.ignored),
        "WordsNeverRead": list(prompt.unseen),
        "DoesNotFit": prompt.cut,
        "Sources": [
            {"Kind": str(source.kind), "SHA256": source.source.sha256 if source.source else ""}
            for source in sources
        ],
        "Sample": sample.index,
        **_spacing(image),
        "Sampler": config.sampler,
        "Shift": config.shift,
        "Guidance": config.guidance,
        **({"RefineSteps": config.refine_steps} if config.refine else {}),
        "Agreement": sample.agreement,
        "AgreementOfCandidates": list(sample.candidates),
        **_company(kind, sources, config),
    }


def _shown(
    instruction: Instruction, references: Sequence[Pointed], config: GenerateConfig
) -> dict[str, object]:
    """What the sidecar says of references; names no file."""
    if not references:
        return {}
    listed = [
        {
            "Mark": one.number,
            "Role": str(one.role),
            "Caption": one.caption,
            "Kind": str(one.image.kind or "label map or mask"),
            "SHA256": one.image.source.sha256 if one.image.source else "",
        }
        for one in references
    ]
    return {
        "Instruction": instruction.text,
        "References": listed,
        "ReferenceGuidance": config.reference_guidance,
    }


def _spacing(image: MedicalImage) -> dict[str, object]:
    return {"SpacingMm": image.geometry.spacing[0]} if image.spacing_is_known else {}


def _company(
    kind: Kind, sources: Sequence[MedicalImage], config: GenerateConfig
) -> dict[str, object]:
    """With what an image was made, whom its flow heard, and what it was never trained with."""
    loaded = load_generator(config)
    given = {str(image.kind.modality) for image in sources if image.kind}
    odd = given - loaded.told(kind.modality)
    others = [str(one) for one in config.kinds if one != kind]
    if not others:
        return {"UnpairedPath": sorted(odd)} if odd else {}
    heard = loaded.hears(kind.modality) if config.cross else {}
    odd |= {name for name, is_whole in heard.items() if not is_whole}
    company: dict[str, object] = {"MadeWith": others, "CrossGuidance": sorted(heard)}
    return company | ({"UnpairedPath": sorted(odd)} if odd else {})


def unheard(config: GenerateConfig) -> str:
    """Why what is made together will only share the text; empty if flows hear each other."""
    loaded, kinds = load_generator(config), config.kinds
    if len(kinds) < 2 or not config.cross or any(loaded.hears(kind.modality) for kind in kinds):
        return ""
    names = " and ".join(str(kind.modality) for kind in kinds)
    return (
        f"{loaded.card.name}: {names} never learned to hear each other; they share the text alone"
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
