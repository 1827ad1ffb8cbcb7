"""What a person asks `generate` for: prompts, alone or in a file, and the images they come with."""

from dataclasses import dataclass, replace
from pathlib import Path

from medgen.data.manifest import values_of
from medgen.errors import InputError, UsageError
from medgen.instruct.instruction import Instruction
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.io.names import safe_name
from medgen.modality import Kind
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.given import Given

DIGITS = 4  # of a number in a file's name


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


def read_requests(path: Path, first_seed: int = 0) -> list[Request]:
    """Prompts from a JSON Lines file: `{"text": …}`, and an `id` and a `seed` if you like.

    With `references`, it is an instruction as `Instruction.from_json` reads it; its files lie
    beside the JSON Lines, if their names are not absolute.

    One without a seed has `first_seed` and the number of its line, counted from 0: prompts that
    share a seed start from the same noise, and would make one patient again and again.

    Raises:
        InputError: If it cannot be read, is something else, or an id comes twice.
    """
    requests = [_request(path, at, values, first_seed) for at, values in values_of(path)]
    if not requests:
        raise InputError(f"{path}: has no prompts; write one JSON object a line")
    seen: set[str] = set()
    for one in requests:
        if one.id in seen:
            raise InputError(f"{path}: id '{one.id}' comes twice; its files would be the same")
        seen.add(one.id)
    return requests


def _request(path: Path, number: int, values: object, first_seed: int) -> Request:
    if not isinstance(values, dict) or "text" not in values:
        raise InputError(f'{path}:{number}: is not {{"text": "…"}}; see --help')
    text, name = values["text"], values.get("id", f"prompt-{number:0{DIGITS}d}")
    seed = values.get("seed", first_seed + number - 1)
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
