"""The learning of a concept as the command line shows it: watched, recorded, written."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from medgen.cli.privacy import hide_manifest
from medgen.cli.progress import progress_bar
from medgen.errors import MedgenError, UsageError
from medgen.io.atomic import check_writable
from medgen.record import Record, recording
from medgen.tasks.given import Given
from medgen.tasks.memory import enough_memory
from medgen.tasks.weaving.concept_card import ENDING
from medgen.tasks.weaving.concept_file import save_concept
from medgen.tasks.weaving.examples import MANIFEST, read_examples, read_images
from medgen.tasks.weaving.learn import LearnConfig, Learned, learn

REMEDY = "lower --set batch or --set views"


def run_learn(
    images: Sequence[str],
    config: LearnConfig,
    *,
    out: Path,
    masks: Sequence[Path],
    priors: Sequence[str],
    most: int,
    overwrite: bool,
    record: Path | None,
) -> dict[str, Any]:
    """Learn a concept and write it; returns what was made, as JSON takes it.

    Raises:
        MedgenError: In one line: what is wrong.
    """
    started = time.perf_counter()
    log = Record("weave learn", config, seed=config.seed, device=config.device)
    total = None if config.instant else config.steps
    with (
        recording(record, log, overwrite=overwrite),
        progress_bar("weave learn", total=total, unit="steps") as advance,
    ):
        for word in (*images, *priors):
            log.hide(Given.parse(word).path)
        for mask in masks:
            log.hide(Path(mask))
        of_manifest = len(images) == 1 and images[0].endswith(MANIFEST)
        if of_manifest:
            hide_manifest(log, Path(images[0]))
        if out.suffix != ENDING:
            raise UsageError(f"-o {out}: the file of a concept ends in {ENDING}")
        check_writable(out, overwrite=overwrite)
        read = read_examples(images, masks, config.name, most=most)
        for path in [Path(images[0])] if of_manifest else read.files:
            log.add_input(path)
        for word in priors:
            log.add_input(Given.parse(word).path)
        made = None
        with enough_memory(REMEDY):
            for step in learn(read.examples, config, priors=read_images(priors)):
                if isinstance(step, Learned):
                    made = step
                    continue
                advance(1, f"loss {step.loss['total']:.4f}")
        if made is None:
            raise MedgenError("the training ended before the concept was made; start it again")
        save_concept(made.concept, made.card, out, overwrite=overwrite)
        log.add_output(out)
    return {
        "output": str(out),
        "name": made.card.name,
        "kind": made.card.kind,
        "examples": made.card.bank.examples,
        "bytes": out.stat().st_size,
        "seconds": round(time.perf_counter() - started, 3),
    }
