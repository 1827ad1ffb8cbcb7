"""Measure everything that BENCHMARKS.md says: `make bench`, or `python -m benchmarks.run`.

Every row is kept in `--out` and measured once; stopped at any moment, the same command continues.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from benchmarks import heldout, report
from benchmarks.align_ablation import ablations
from benchmarks.archive import archives
from benchmarks.cases import (
    Case,
    heads_folder,
    held_out_heads,
    held_out_mri,
    real_pairs,
    real_pairs_to_mri,
    rendered,
)
from benchmarks.cts import CHESTS, HEADS, cts
from benchmarks.data import data_option
from benchmarks.figures import draw_lines
from benchmarks.generation import flows_at, generations
from benchmarks.goals import goals
from benchmarks.instructing import instructions
from benchmarks.layout import tables
from benchmarks.machine import machine, today
from benchmarks.methods import DIFFUSE, Contestants, Method, contestants
from benchmarks.race import RACE
from benchmarks.racing import races
from benchmarks.readers import contests
from benchmarks.refining import refinings
from benchmarks.reporting import reportings
from benchmarks.results import write_results
from benchmarks.retrieval import retrievals
from benchmarks.roundtrip import roundtrips
from benchmarks.rows import Row, Store, measure
from benchmarks.scarce import scarce
from benchmarks.segmenting import segmentings
from benchmarks.sigma import coverages
from benchmarks.skull import real_heads
from benchmarks.speed import SpeedConfig, speeds
from benchmarks.weaving import weavings
from medgen.checkpoint import Card, model_folder, read_card
from medgen.tasks.device import choose_device
from medgen.tasks.translate import calibration_of
from medgen.tasks.translator.model import PART
from medgen.tasks.translator.translation import EngineConfig
from medgen.tasks.translator.translator import CT

PARTS = ("pairs", "heads", "race", "mri", "sigma", "skull", "speed", "codec")
PARTS += ("retrieval", "ablation", "generation", "ct-chests", "ct-heads", "reports")
PARTS += ("scarce", "weaving", "segmenting", "instruct", "refine", "archive")
QUICK = {"STS_025-t1-to-ct", "STS_047-t1-to-ct", "STS_025-ct-to-t1", "head_19-t1-to-ct"}
QUICK |= {"head_19-ct-to-t1", "head_19-t1-to-t2"}


@dataclass(frozen=True)
class BenchConfig:
    """What is measured, and with what.

    Attributes:
        data: The data folder.
        out: Keeps rows, previews and results.
        model: medgen's model, by name or folder.
        race: Folder of the race from nothing.
        encoders: The aligned encoders, by name or folder.
        flows: The model that generates and reports, by name or folder.
        studies: Where `benchmarks.train_align` keeps its studies.
        device: Where to compute; speed is always measured on the CPU.
        threads: Of every computation.
        only: Parts to measure; of the others only what is kept is told.
        quick: A few patients, sizes and repeats.
        diffuse_contrasts: Images of the held-out heads that `diffuse` is measured from.
        diffuse: Steps and samples.
    """

    data: Path
    out: Path
    model: str
    race: Path
    encoders: str
    flows: str
    studies: Path
    device: str
    threads: int
    only: tuple[str, ...]
    quick: bool
    diffuse_contrasts: tuple[str, ...]
    diffuse: EngineConfig


def run(config: BenchConfig) -> dict[str, list[Row]]:
    """Measure, and return the rows by part."""
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    who = contestants(config.model, choose_device(config.device), config.diffuse)
    rows: dict[str, list[Row]] = {}
    for part in PARTS:
        rows[part] = []
        for row in _part(part, config, who, Store(config.out, part in config.only)):
            rows[part].append(row)
            print(part, row.subject, row.source, row.target, row.method, _said(row), flush=True)
    return rows


def _part(part: str, config: BenchConfig, who: Contestants, store: Store) -> Iterator[Row]:
    data, out = config.data, config.out
    heads, pairs = list(held_out_heads(data, out)), list(real_pairs(data))
    match part:
        case "pairs":
            return _measure(pairs, config, who, store)
        case "heads":
            return _measure(heads, config, who, store)
        case "race":
            cases = _chosen(chain(pairs, heads), config)
            return races(cases, config.race, choose_device(config.device), store)
        case "mri":
            cases = chain(real_pairs_to_mri(data), held_out_mri(data, out))
            return _measure(cases, config, who, store)
        case "sigma":
            return coverages([*pairs, *heads], who.diffuse, calibration_of(who.model, CT), store)
        case "skull":
            return real_heads(data, who.regress, store, count=1 if config.quick else None)
        case "speed":
            head = partial(_t1_of_first_head, config)
            return speeds(head, who.regress.key, store, _speed(config))
        case "codec":
            return roundtrips(data, who.model.translator.ct_codec, store)
        case "retrieval":
            return retrievals(data, config.encoders, config.studies, store)
        case "generation":
            return generations(data, config.flows, config.studies, store, config.threads)
        case "ct-chests" | "ct-heads":
            anatomy = CHESTS if part == CHESTS.part else HEADS
            return cts(anatomy, data, config.flows, config.studies, store)
        case "reports":
            return reportings(data, config.flows, config.studies, store, config.threads)
        case "weaving":
            return weavings(config.flows, config.studies, store)
        case "scarce":
            return scarce(data, config.flows, config.studies, store)
        case "segmenting":
            return segmentings(config.flows, config.studies, store)
        case "instruct":
            return chain(
                instructions(config.flows, config.studies, store), contests(config.studies, store)
            )
        case "refine":
            return refinings(data, config.flows, config.studies, store)
        case "archive":
            return archives(config.flows, config.studies, store)
        case _:
            return ablations(data, config.encoders, config.studies, out, store)


def _measure(
    cases: Iterable[Case], config: BenchConfig, who: Contestants, store: Store
) -> Iterator[Row]:
    return measure(_chosen(cases, config), _methods_of(config, who), store)


def _chosen(cases: Iterable[Case], config: BenchConfig) -> Iterator[Case]:
    return (case for case in cases if not config.quick or case.name in QUICK)


def _methods_of(config: BenchConfig, who: Contestants) -> Callable[[Case], list[Method]]:
    """All methods of a case's target; `diffuse` on the heads only from what is asked for."""

    def methods(case: Case) -> list[Method]:
        is_head = case.subject in heldout.HEADS
        skips = is_head and case.source.slug not in config.diffuse_contrasts
        return [m for m in who.for_target(case.target) if not (skips and m.name == DIFFUSE)]

    return methods


def _t1_of_first_head(config: BenchConfig) -> Path:
    return rendered(config.data, config.out) / next(iter(heldout.HEADS)) / "t1.nii.gz"


def _speed(config: BenchConfig) -> SpeedConfig:
    if config.quick:
        return SpeedConfig(config.model, sizes=(64, 96), repeats=1, threads=config.threads)
    return SpeedConfig(config.model, threads=config.threads)


def _said(row: Row) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in row.scores.items())


def about(config: BenchConfig, rows: dict[str, list[Row]]) -> dict[str, Any]:
    """What produced the figures."""
    every = list(chain(*rows.values()))
    model = read_card(model_folder(config.model))
    flows = flows_at(config.flows)
    return {
        "command": "make bench" if not config.quick else "python -m benchmarks.run --quick",
        "date": today(),
        "measured": sorted({row.date for row in every}),
        "commits": sorted({row.commit for row in every}),
        "heldout_version": heldout.VERSION,
        "heldout_match": heldout.matched(heads_folder(config.out)),
        "model": _weights_of(model, (PART,)),
        "flows": _weights_of(flows, sorted(flows.parts)) if flows else "not there",
        "machine": machine(str(choose_device(config.device))),
    }


def _weights_of(card: Card, parts: Sequence[str]) -> dict[str, Any]:
    """Which weights of a model were measured."""
    short = {name: card.parts[name].sha256[:4] for name in parts}
    weights = ", ".join(f"{name} {sha256}" for name, sha256 in short.items())
    if len(parts) == 1:
        weights = card.parts[parts[0]].sha256[:16]
    return {
        "name": card.name,
        "version": card.version,
        "steps": card.steps,
        "weights": weights,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, and write results.json and BENCHMARKS.md."""
    config, page = _options(arguments)
    rows = run(config)
    results = config.out / ("quick.json" if config.quick else "results.json")
    every, drawn = list(chain(*rows.values())), tables(rows)
    for table in drawn:
        if table.figure and table.lines and not config.quick:
            draw_lines(table, page.parent / table.figure)
    write_results(results, about(config, rows), drawn, goals(rows), every)
    return report.main(["--results", str(results), "-o", str(page)])


def _options(arguments: list[str] | None) -> tuple[BenchConfig, Path]:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__)
    data_option(parser)
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR")
    parser.add_argument("--model", default="base", help="a bundled model's name, or a folder")
    parser.add_argument("--race", type=Path, default=RACE, metavar="DIR")
    parser.add_argument("--encoders", default="flows", help="as --model, of the encoders")
    parser.add_argument("--flows", default="flows", help="as --model, of what makes and reports")
    parser.add_argument("--studies", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="a few patients; to runs/bench")
    parser.add_argument("--diffuse-contrasts", default="ct,t1,t2,flair,pd", help="of the heads")
    parser.add_argument("--steps", type=int, default=8, help="of diffuse")
    parser.add_argument("--samples", type=int, default=4, help="of diffuse")
    parser.add_argument("--report", type=Path, default=report.REPORT, metavar="MD")
    given = parser.parse_args(arguments)
    only = tuple(given.only.split(","))
    if unknown := set(only) - set(PARTS):
        parser.error(f"--only {','.join(sorted(unknown))}: choose from {','.join(PARTS)}")
    config = BenchConfig(
        data=given.data,
        out=given.out,
        model=given.model,
        race=given.race,
        encoders=given.encoders,
        flows=given.flows,
        studies=given.studies,
        device=given.device,
        threads=given.threads,
        only=only,
        quick=given.quick,
        diffuse_contrasts=tuple(given.diffuse_contrasts.split(",")),
        diffuse=EngineConfig("diffuse", given.steps, given.samples),
    )
    return config, given.out / "quick.md" if given.quick else given.report


if __name__ == "__main__":
    sys.exit(main())
