"""Patients in words only: reports of findings that nobody has drawn, to learn to read from.

`python -m benchmarks.words -n 4000 -o OUT` writes a manifest of studies that have a report and
counterfactual ones, and no image: a reader of reports needs many more than there are images.
"""

import argparse
import sys
from pathlib import Path

from torch import Generator

from medgen.data.counterfactuals import write_counterfactuals
from medgen.data.manifest import write_manifest
from medgen.data.study import Study
from medgen.phantom import chest_findings, head_findings
from medgen.phantom.counterfactual import counterfactuals, made_up
from medgen.phantom.fact import Fact, absent, report_of
from medgen.phantom.field import chance, generator_of, uniform
from medgen.tasks.batch import MANIFEST
from medgen.tasks.phantom import COUNTERFACTUALS, REPORT, study_name

ILL = 0.85
LARGE_HEART = 0.25
COMPANIONS = 0.4  # share of brain tumours with oedema around them, and of shifts of the midline
ROUNDS = 3
TECHNIQUES = {
    "chest": ("PA chest radiograph.", "Supine AP chest radiograph.", "CT of the chest."),
    "head": ("CT of the head.", "MRI of the head.", "CT and MRI of the head."),
}


def facts_of_nobody(part: str, generator: Generator) -> list[Fact]:
    """Findings of a chest or a head as often as simulated patients have them."""
    findings = chest_findings if part == "chest" else head_findings
    names = list(findings.drawn_names(generator)) if chance(ILL, generator) else []
    if part == "chest":
        names += ["cardiomegaly"] if names and chance(LARGE_HEART, generator) else []
        possible = [*chest_findings.OFTEN, "cardiomegaly"]
    else:
        for name, cause in (("brain_oedema", "brain_mass"), ("midline_shift", None)):
            can_be = cause in names if cause else bool(names)
            names += [name] if can_be and chance(COMPANIONS, generator) else []
        possible = list(head_findings.NAMES)
    facts = [Fact(made_up(name, generator)) for name in names]
    return [*facts, *absent(possible, facts)]


def write_study(folder: Path, seed: int, index: int) -> Study:
    """Write the reports of one patient."""
    generator = generator_of(seed, index, "words")
    part = "chest" if chance(0.5, generator) else "head"
    facts = facts_of_nobody(part, generator)
    ways = TECHNIQUES[part]
    technique = ways[int(uniform(0, len(ways), generator))]
    report = report_of(facts, generator=generator, technique=technique)
    pairs = counterfactuals(facts, rounds=ROUNDS, seed=seed, index=index, technique=technique)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_text(report.text + "\n", encoding="utf-8")
    write_counterfactuals(list(pairs), folder / COUNTERFACTUALS)
    files = folder / REPORT, folder / COUNTERFACTUALS
    return Study(folder.name, folder.name, text=files[0], counterfactuals=files[1])


def main(arguments: list[str] | None = None) -> int:
    """Write the studies and their manifest."""
    parser = argparse.ArgumentParser(prog="benchmarks.words", description=__doc__)
    parser.add_argument("-n", "--number", type=int, default=4000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/words"), metavar="DIR")
    options = parser.parse_args(arguments)
    studies = [
        write_study(options.out / study_name(index), options.seed, index)
        for index in range(options.number)
    ]
    write_manifest(studies, options.out / MANIFEST, overwrite=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
