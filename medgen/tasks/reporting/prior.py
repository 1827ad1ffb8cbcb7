"""What an earlier study showed: its images, or what its report says."""

from dataclasses import dataclass
from pathlib import Path

from medgen.data.manifest import parse_json
from medgen.errors import InputError, MedgenError
from medgen.io import files
from medgen.io.image import MedicalImage
from medgen.metrics.phrases import load_phrases
from medgen.tasks.facts import Fact, said_facts
from medgen.tasks.given import Given
from medgen.tasks.report import facts_of_images
from medgen.tasks.reporting.config import ReportConfig
from medgen.tasks.reporting.images import with_kinds
from medgen.tasks.reporting.marks import unmarked

JSON = ".json"
TEXTS = (".txt", ".md", "", JSON)  # of a prior that is a report
MAX_CHARACTERS = 50_000  # of a report
MAX_BYTES = 2_000_000  # of its file, which in JSON holds a table and other wordings, too


@dataclass(frozen=True)
class Before:
    """What is known of an earlier study.

    Attributes:
        images: Its images; none where its report was given.
        facts: What it showed; None where there is nothing to compare with.
        warning: Why there is not, although one was given.
    """

    images: tuple[MedicalImage, ...] = ()
    facts: tuple[Fact, ...] | None = None
    warning: str = ""


def read_prior(config: ReportConfig) -> Before:
    """Read what `--prior` names; what cannot be read is told, and done without."""
    if config.prior is None:
        return Before()
    given = Given.parse(config.prior)
    try:
        if given.path.suffix.lower() in TEXTS and given.path.is_file():
            return Before(facts=tuple(said_facts(read_said(given.path), load_phrases())))
        images = with_kinds([files.read(given.path)], [given.kind])
        return Before(tuple(images), tuple(facts_of_images(images, config)))
    except MedgenError as error:
        return Before(warning=f"--prior {error}; the report compares with nothing")


def read_said(path: Path) -> str:
    """What an earlier report says: a text, or the JSON that medgen writes of a report or beside it.

    Raises:
        InputError: If the file is neither.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path}: cannot be read as text") from None
    if len(data) <= MAX_BYTES and path.suffix.lower() == JSON:
        text = _prose_in(data, path)
    if len(text) > MAX_CHARACTERS or not text.strip():
        raise InputError(f"{path}: is no report by its length")
    return unmarked(text)


def _prose_in(data: bytes, path: Path) -> str:
    """The sentences of a report that medgen has written as JSON."""
    try:
        made = parse_json(data)
        parts = [[one["text"] for one in made[part]] for part in ("Findings", "Impression")]  # type: ignore[index]
        return "\n".join(" ".join(part) for part in parts)
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path}: is no report as medgen writes it; give its text, or the images"
        ) from None
