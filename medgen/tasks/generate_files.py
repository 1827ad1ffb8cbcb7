"""Generate files: one prompt read, its images written with their sidecars."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medgen.errors import InputError, UsageError
from medgen.io import files
from medgen.io.atomic import check_writable
from medgen.io.image import MedicalImage
from medgen.io.names import safe_name
from medgen.io.provenance import Provenance
from medgen.io.sidecar import sidecar_path, write_sidecar
from medgen.modality import FACTS, Kind
from medgen.tasks.generate import (
    GenerateConfig,
    Sample,
    generate,
    load_generator,
    told_in_training,
    understood,
)
from medgen.tasks.prompt import Prompt, in_words

ENDINGS = {"png": (".png",), "dicom": (".dcm",), "nifti": (".nii.gz", ".nii")}
DIGITS = 4  # of a sample's number in its file name


@dataclass(frozen=True)
class Request:
    """One prompt of a batch.

    Attributes:
        id: Names its files.
        text: The prompt.
        seed: Of its samples; the config's if it is None.
    """

    id: str
    text: str
    seed: int | None = None


@dataclass(frozen=True)
class Written:
    """What one sample left on disk.

    Attributes:
        output: The image.
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
    if odd := sorted(values.keys() - {"id", "text", "seed"}):
        raise InputError(f"{path}:{number}: '{odd[0]}' is none of id, text and seed")
    if not isinstance(text, str) or not isinstance(name, str):
        raise InputError(f"{path}:{number}: id and text are written in quotes")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise InputError(f"{path}:{number}: the seed is a whole number from 0")
    return Request(safe_name(name), text, seed)


def read_sources(config: GenerateConfig) -> list[MedicalImage]:
    """The images that the prompt comes with; `KIND=FILE` says what a file does not.

    Raises:
        InputError: If one cannot be read.
        UsageError: If a kind is none, or the file says it is another.
    """
    images = []
    for word in config.sources:
        kind, equals, rest = word.partition("=")
        is_named = bool(equals) and not Path(word).exists()
        image = files.read(Path(rest if is_named else word))
        images.append(_named(image, Kind.parse(kind), word) if is_named else image)
    return images


def _named(image: MedicalImage, kind: Kind, word: str) -> MedicalImage:
    if image.kind is not None and image.kind.modality is not kind.modality:
        raise UsageError(f"--from {word}: the file says that it is {image.kind}")
    return replace(image, kind=kind)


def outputs_of(request: Request, config: GenerateConfig, out: Path) -> list[Path]:
    """Where the samples of a prompt go.

    Args:
        request: The prompt.
        config: How many, and in which format.
        out: A file's name for a single sample, else a folder.

    Raises:
        UsageError: If one file is to hold several, or has another format's name.
    """
    name, form = out.name.lower(), config.format or config.formats[0]
    own = next((form for form in config.formats if name.endswith(ENDINGS[form])), None)
    if own and not out.is_dir():
        if config.number > 1:
            raise UsageError(f"-o {out}: names one file for {config.number} samples; name a folder")
        if config.format and own != config.format:
            raise UsageError(f"-o {out}: is no {config.format}; leave out --format, or rename it")
        return [out]
    if name.endswith((*ENDINGS["png"], *ENDINGS["dicom"], *ENDINGS["nifti"], ".jpg", ".jpeg")):
        words = ", ".join(ENDINGS[form][0] for form in config.formats)
        raise UsageError(
            f"-o {out}: {config.kind} is written as {words}; name a folder for several"
        )
    is_flat = FACTS[config.kind.modality].axes == 2
    ending = "" if form == "dicom" and not is_flat else ENDINGS[form][0]  # a series is a folder
    return [out / f"{request.id}-{index + 1:0{DIGITS}d}{ending}" for index in range(config.number)]


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
    if request.seed is not None:
        config = replace(config, seed=request.seed)
    outputs = {
        index: path
        for index, path in enumerate(outputs_of(request, config, out))
        if not (skip_existing and path.exists())
    }
    if not outputs:
        return
    prompt = understood(request.text, config)
    for path in outputs.values():
        check_writable(path, overwrite=config.overwrite)
        # What is beside an image that is not there belongs to nobody.
        check_writable(sidecar_path(path), overwrite=config.overwrite or skip_existing)
    started = time.perf_counter()
    for sample in generate(prompt, sources, config, list(outputs)):
        path = outputs[sample.index]
        yield _write(sample, prompt, sources, config, path, started, lone_sidecar=skip_existing)
        started = time.perf_counter()


def _write(
    sample: Sample,
    prompt: Prompt,
    sources: Sequence[MedicalImage],
    config: GenerateConfig,
    path: Path,
    started: float,
    *,
    lone_sidecar: bool,
) -> Written:
    loaded = load_generator(config)
    card = loaded.flow.card
    provenance = provenance_of(config)
    details = _details(sample, prompt, sources, config)
    replaces = config.overwrite or lone_sidecar
    sidecar = write_sidecar(path, provenance, details, overwrite=replaces)
    try:
        files.write(sample.image, path, provenance=provenance, overwrite=config.overwrite)
    except BaseException:
        sidecar.unlink(missing_ok=True)
        raise
    return Written(
        path,
        sidecar,
        prompt,
        sample.index,
        sample.agreement,
        card.name,
        card.digest,
        str(loaded.device),
        round(time.perf_counter() - started, 3),
    )


def provenance_of(config: GenerateConfig) -> Provenance:
    """What the writers say about how an image was generated."""
    card = load_generator(config).flow.card
    return Provenance("generate", card.name, card.digest, config.seed, config.steps)


def _details(
    sample: Sample, prompt: Prompt, sources: Sequence[MedicalImage], config: GenerateConfig
) -> dict[str, object]:
    """What the sidecar says besides its marks; names no file."""
    return {
        "Kind": config.modality,
        "Unit": FACTS[config.kind.modality].unit,
        "Prompt": prompt.text,
        "Understood": [in_words(one) for one in prompt.findings],
        "NeverTrainedOn": list(prompt.ignored),
        "WordsNeverRead": list(prompt.unseen),
        "DoesNotFit": prompt.cut,
        "Sources": [
            {"Kind": str(image.kind), "SHA256": image.source.sha256 if image.source else ""}
            for image in sources
        ],
        "Sample": sample.index,
        **_spacing(sample.image),
        "Sampler": config.sampler,
        "Guidance": config.guidance,
        "Agreement": sample.agreement,
        "AgreementOfCandidates": list(sample.candidates),
        **_unpaired(sources, config),
    }


def _spacing(image: MedicalImage) -> dict[str, object]:
    return {"SpacingMm": image.geometry.spacing[0]} if image.spacing_is_known else {}


def _unpaired(sources: Sequence[MedicalImage], config: GenerateConfig) -> dict[str, object]:
    """Modalities that the flow was never told of in training."""
    given = {str(image.kind.modality) for image in sources if image.kind}
    odd = sorted(given - told_in_training(load_generator(config), config))
    return {"UnpairedPath": odd} if odd else {}


def described(prompt: Prompt) -> str:
    """One line for a person: what of a prompt was understood."""
    said = ", ".join(map(in_words, prompt.findings)) or "no finding"
    return f"understood: {said}"
