"""A weave as the command line runs it: concepts and places matched, recorded, told."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medgen.cli.privacy import hide_manifest
from medgen.cli.progress import watched
from medgen.cli.voice import is_quiet, say
from medgen.errors import SomeFailedError, UsageError
from medgen.io.names import is_file_name
from medgen.io.sidecar import sidecar_path, was_made_by
from medgen.record import Record, recording
from medgen.tasks.given import Given
from medgen.tasks.weave import WeaveConfig
from medgen.tasks.weaving.batch import weave_many
from medgen.tasks.weaving.files import Placed, write_woven
from medgen.tasks.weaving.output import Written, report_path, woven_path
from medgen.tasks.weaving.recipe import read_recipe
from medgen.tasks.weaving.regions import Place
from medgen.tasks.weaving.woven import Finding

LOGGER = logging.getLogger(__name__)
MANIFEST_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Where:
    """What goes where, as it was typed."""

    concepts: Sequence[str]
    boxes: Sequence[str]
    regions: Sequence[str]
    labels: Path | None

    @property
    def files(self) -> list[Path]:
        """All that it names."""
        named = [word for concept in self.concepts for word in _split(concept) if word]
        return [*map(Path, named), *([self.labels] if self.labels else [])]

    @property
    def typed(self) -> dict[str, object]:
        """The same by the names of their options."""
        return {
            "concept": self.concepts,
            "box": self.boxes,
            "region": self.regions,
            "labels": self.labels,
        }


def is_woven(
    scan: str, out: Path | None, *, report: Path | None = None, preview: Path | None = None
) -> bool:
    """Whether the woven scan is there already, with all that is asked for; that is told.

    One beside which nothing says how it was woven has no more to come: every mask was empty.
    """
    output = woven_path(Given.parse(scan).path, out)
    others = (preview, report_path(output) if report else None)
    is_whole = all(path.exists() for path in others if path)
    found = output.exists() and (is_whole or not can_be_completed(scan, out))
    if found:
        LOGGER.info("the result exists and is skipped")
    return found


def can_be_completed(scan: str, out: Path | None) -> bool:
    """Whether a woven scan is there that may be woven again, for what is missing beside it."""
    output = woven_path(Given.parse(scan).path, out)
    return output.exists() and was_made_by("weave", sidecar_path(output))


def run_weave(
    scan: str,
    where: Where,
    config: WeaveConfig,
    *,
    out: Path | None,
    report: Path | None,
    preview: Path | None,
    record: Path | None,
) -> Iterator[dict[str, Any]]:
    """Weave one scan; yields what is told of it, as JSON takes it.

    Raises:
        MedgenError: In one line: what is wrong.
    """
    log = Record("weave", config, device=config.device)
    with recording(record, log, overwrite=config.overwrite):
        given = Given.parse(scan).path
        log.hide(given)
        if given.suffix == MANIFEST_SUFFIX:
            raise UsageError(f"{given}: is a manifest; say with --recipe what goes where")
        for path in [*where.files, *([report] if report else [])]:
            log.hide(path)
        placed = matched(where.concepts, where.boxes, where.regions, where.labels)
        output = woven_path(given, out)
        log.keep_apart([output, sidecar_path(output), preview])
        written = write_woven(scan, placed, config, out, report=report, preview=preview)
        note(log, given, placed, written)
        if report is not None:
            log.add_input(report)
        if not is_quiet():
            tell(written)
        yield line_of(written)


def run_recipe(
    manifest: Path,
    recipe: Path,
    where: Where,
    config: WeaveConfig,
    *,
    out: Path | None,
    number: int,
    seed: int,
    skip_existing: bool,
    record: Path | None,
) -> Iterator[dict[str, Any]]:
    """Weave many scans of a manifest; yields what is told of each, as JSON takes it.

    Raises:
        SomeFailedError: At the end, if some of several failed.
        MedgenError: If nothing could be started.
    """
    log = Record("weave", config, seed=seed, device=config.device)
    with recording(record, log, overwrite=config.overwrite):
        log.hide(manifest)
        if where.concepts or where.boxes or where.regions:
            raise UsageError("--recipe: says itself what goes where; leave --concept out")
        if out is not None and is_file_name(out):
            raise UsageError(f"-o {out}: names one file for all that a recipe makes; name a folder")
        if manifest.suffix != MANIFEST_SUFFIX:
            raise UsageError(f"{manifest}: --recipe takes a manifest, a file that ends in .jsonl")
        log.add_input(manifest)
        if record is not None:
            hide_manifest(log, manifest)
        log.add_input(recipe)
        read = read_recipe(recipe)
        for ingredient in read.concept:
            log.add_input(Path(ingredient.file))
            if ingredient.labels:
                log.hide(Path(ingredient.labels))
        made = weave_many(
            manifest,
            read,
            config,
            out or Path("woven"),
            number=number,
            seed=seed,
            skip_existing=skip_existing,
        )
        failed = 0
        for one in watched(made, "weave", total=number):
            if one.error is not None:
                failed += 1
                LOGGER.error("%s: %s", one.name, one.error)
            elif one.written is not None:
                note_written(log, one.written)
                yield line_of(one.written)
        if failed:
            raise SomeFailedError(f"{failed} of {number} scans failed; the others are done")


def matched(
    concepts: Sequence[str], boxes: Sequence[str], regions: Sequence[str], labels: Path | None
) -> list[Placed]:
    """Each concept with where it goes: its own mask, or the next box, or the next region.

    Raises:
        UsageError: If a concept has no place, or a place has no concept.
    """
    places = [Place(box=box) for box in boxes]
    places += [Place(region=region, labels=labels) for region in regions]
    if boxes and regions:
        raise UsageError(
            "--box and --region: which comes first is not known; write --concept FILE=MASK for one"
        )
    if regions and labels is None:
        raise UsageError("--region: needs a label map; name it with --labels")
    placed = []
    for word in concepts:
        path, mask = _split(word)
        if mask is not None:
            placed.append(Placed(Path(path), Place(mask=Path(mask))))
            continue
        if not places:
            raise UsageError(f"--concept {word}: goes nowhere; write {word}=MASK, or add a --box")
        placed.append(Placed(Path(word), places.pop(0)))
    if places:
        what = f"--box {places[0].box}" if places[0].box else f"--region {places[0].region}"
        raise UsageError(f"{what}: has no concept; add a --concept without a mask")
    return placed


def _split(word: str) -> tuple[str, str | None]:
    """A concept's file and its mask, `FILE=MASK`; None without one."""
    path, equals, mask = word.rpartition("=")
    return (path, mask) if equals and not Path(word).exists() else (word, None)


def note(log: Record, scan: Path, placed: Sequence[Placed], written: Written) -> None:
    """Put into the record what was read and written."""
    log.add_input(scan, sha256=written.sources[0])
    for one in placed:
        log.add_input(one.concept)
        for path in one.place.inputs:
            log.add_input(path)
    note_written(log, written)


def note_written(log: Record, written: Written) -> None:
    """Put into the record what was written, and by which model."""
    log.model = {"name": written.model, "sha256": written.model_sha256}
    log.device = written.device
    for path in written.files:
        log.add_output(path)


def tell(written: Written) -> None:
    """Say to a person what was woven."""
    if written.mask is None:
        say(f"every mask is empty: {written.output} is the scan's own bytes")
    for one in written.findings:
        say(_sentence(one))


def _sentence(one: Finding) -> str:
    size = (
        f"{one.volume_ml:g} ml"
        if one.volume_ml is not None
        else f"{one.area_mm2:g} mm²"
        if one.area_mm2 is not None
        else f"{one.voxels} pixels"
    )
    far = f", {one.distance['contrast']:+.1f} spreads from its examples" if one.distance else ""
    return (
        f"{one.name}: {size}, contrast {one.before.contrast:.4g} before and "
        f"{one.after.contrast:.4g} now{far}; seam {one.seam:.2f}"
    )


def line_of(written: Written) -> dict[str, Any]:
    """What a script is told."""
    return {
        "output": str(written.output),
        "mask": str(written.mask) if written.mask else None,
        "sidecar": str(written.sidecar) if written.sidecar else None,
        "report": str(written.report) if written.report else None,
        "regions": [asdict(one) for one in written.findings],
        "model": written.model,
        "seconds": written.seconds,
    }
