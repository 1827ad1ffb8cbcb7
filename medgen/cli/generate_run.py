"""Prompts as the command line works through them: recorded, watched, told what is understood."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medgen.cli.progress import progress_bar
from medgen.cli.voice import is_quiet, say
from medgen.errors import MedgenError, SomeFailedError, UsageError
from medgen.instruct.instruction import Instruction, Reference
from medgen.io import files
from medgen.io.atomic import check_writable
from medgen.io.names import check_apart
from medgen.io.preview import write_sheet
from medgen.io.sidecar import sidecar_path
from medgen.record import Record, recording
from medgen.tasks.batch import Shard
from medgen.tasks.generate import load_generator, understood
from medgen.tasks.generating.config import GenerateConfig, is_flat
from medgen.tasks.generating.files import (
    Written,
    described,
    outputs_of,
    pointed,
    unheard,
    untaught,
    write_samples,
)
from medgen.tasks.generating.patient_sheet import before_of, write_patient_sheet
from medgen.tasks.generating.requests import Request, read_requests, read_sources
from medgen.tasks.generating.sidecar import provenance_of
from medgen.tasks.given import Given

LOGGER = logging.getLogger(__name__)


def run_generate(
    text: str | None,
    texts: Path | None,
    config: GenerateConfig,
    *,
    out: Path,
    preview: Path | None,
    sheet: Path | None,
    shard: str | None,
    skip_existing: bool,
    record: Path | None,
) -> Iterator[dict[str, Any]]:
    """Make the images of all prompts; yields one line for each, as JSON takes it.

    Raises:
        SomeFailedError: At the end, if some of several prompts failed.
        MedgenError: The error of the only prompt.
    """
    log = Record("generate", config, seed=config.seed, device=config.device)
    with recording(record, log, overwrite=config.overwrite):
        for source in _sources(config):
            log.hide(source)
        if texts is not None:
            log.hide(texts)
        requests = _requests(text, texts, config)
        for file in _referred(requests):
            log.hide(file)
        if texts is not None:
            log.add_input(texts)
        outputs = [path for request in requests for path in outputs_of(request, config, out)]
        every, requests = requests, Shard.parse(shard).of(requests) if shard else requests
        wanted = [path for request in requests for path in outputs_of(request, config, out)]
        if skip_existing and all(path.exists() for path in wanted):
            preview, sheet = (one if one and not one.exists() else None for one in (preview, sheet))
        _check(every, outputs, config, out, {"--preview": preview, "--sheet": sheet})
        log.keep_apart([*outputs, *map(sidecar_path, outputs), preview, sheet])
        for file in filter(Path.exists, _referred(requests)):  # others fail when they are read
            log.add_input(file)
        load_generator(config)  # what a model lacks is told once
        if why := unheard(config):
            LOGGER.warning("%s", why)
        sources = read_sources(config)
        for image in sources:
            if image.source is not None:
                log.add_input(image.source.path, sha256=image.source.sha256)
        written: list[Written] = []
        failed = 0
        total = len(requests) * config.number * len(config.kinds)
        with progress_bar("generate", total=total, unit="images") as advance:
            for request in requests:
                try:
                    _tell(request, config)
                    for one in write_samples(
                        request, sources, config, out, skip_existing=skip_existing
                    ):
                        _note(log, one)
                        written.append(one)
                        advance(1, "")
                        yield _line(request, one)
                except MedgenError as error:
                    if len(requests) == 1:
                        raise
                    failed += 1
                    LOGGER.error("%s: %s", request.id, error)
        made = {one.output for one in written}
        there = [path for path in wanted if path in made or (skip_existing and path.exists())]
        if preview is not None and there:
            write_sheet(
                [files.read(path) for path in there],
                preview,
                provenance=provenance_of(config),
                overwrite=config.overwrite,
            )
            log.add_output(preview)
        if sheet is not None and there:
            log.add_output(write_patient_sheet(requests[0], there[0], config, sheet))
        if failed:
            raise SomeFailedError(f"{failed} of {len(requests)} prompts failed")


def _check(
    requests: list[Request],
    outputs: list[Path],
    config: GenerateConfig,
    out: Path,
    drawn: Mapping[str, Path | None],
) -> None:
    """Raises UsageError or OutputError for a wrong name, before any work is done.

    Args:
        requests: All prompts.
        outputs: All images of them.
        config: Of all of them.
        out: Where the images go.
        drawn: What is drawn besides, by its option.
    """
    if len(requests) > 1 and outputs[0] == out:
        raise UsageError(f"-o {out}: names one file for {len(requests)} prompts; name a folder")
    if drawn["--preview"] is not None and len({is_flat(kind) for kind in config.kinds}) > 1:
        raise UsageError("--preview: draws radiographs or volumes, not both; leave it out")
    if drawn["--sheet"] is not None:
        if len(requests) > 1:
            raise UsageError("--sheet: is of one prompt; give --text and --ref")
        before_of(requests[0])
    taken = {path.absolute(): "one of the images" for path in outputs}
    given = [*_referred(requests), *_sources(config)]
    for result in [*outputs, *drawn.values()]:  # one by one: what two share is told below
        check_apart([result], given)
    for option, path in drawn.items():
        if path is None:
            continue
        if path.suffix.lower() != ".png":
            raise UsageError(f"{option} {path}: is drawn as .png")
        if path.absolute() in taken:
            what = taken[path.absolute()]
            raise UsageError(f"{option} {path}: is {what}; choose another name")
        taken[path.absolute()] = f"what {option} draws"
        check_writable(path, overwrite=config.overwrite)


def _requests(text: str | None, texts: Path | None, config: GenerateConfig) -> list[Request]:
    if text is not None and texts is not None:
        raise UsageError("--text is one prompt, --texts are many; give one of them")
    if texts is not None:
        if config.references:
            raise UsageError("--ref: belongs to --text; in --texts, write references beside text")
        return read_requests(texts, config.seed)
    name = config.kinds[0].slug if len(config.kinds) == 1 else "study"
    return [Request(name, text or "", references=config.references)]


def _sources(config: GenerateConfig) -> list[Path]:
    """The files of `--from`."""
    return [Given.parse(source).path for source in config.sources]


def _referred(requests: list[Request]) -> list[Path]:
    """The files of all references; each once."""
    words = [word for request in requests for word in request.references]
    paths = [Given.parse(Reference.parse(word).file).path for word in words]
    return list(dict.fromkeys(paths))


def _tell(request: Request, config: GenerateConfig) -> None:
    """Say what of a prompt was understood, and warn of what is lost."""
    prompt = understood(request.text, request.settled(config))
    if prompt.text and not is_quiet():
        say(f"{request.id}: {described(prompt)}")
    if request.references:
        instruction = Instruction.parse(request.text, request.references)
        if not is_quiet():
            say(f"{request.id}: {pointed(instruction)}")
        if why := untaught(instruction, config):
            LOGGER.warning("%s: %s", request.id, why)
    if prompt.lost:
        LOGGER.warning("%s: lost of the prompt: %s", request.id, prompt.lost)


def _note(log: Record, one: Written) -> None:
    log.model = {"name": one.model, "sha256": one.model_sha256}
    log.device = one.device
    log.add_output(one.output)
    log.add_output(one.sidecar)


def _line(request: Request, one: Written) -> dict[str, Any]:
    return {
        "output": str(one.output),
        "kind": str(one.kind),
        "sidecar": str(one.sidecar),
        "id": request.id,
        "sample": one.index,
        "agreement": one.agreement and one.agreement.cosine,
        "log_likelihood": one.agreement and one.agreement.likelihood,
        "lost": one.prompt.lost,
        "model": one.model,
        "seconds": one.seconds,
    }
