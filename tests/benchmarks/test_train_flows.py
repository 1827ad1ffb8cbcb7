"""The commands that make the bundled flows can be run, each on what the one before made."""

from pathlib import Path

from benchmarks.train_flows import (
    CARD,
    CHESTS,
    COMPARED,
    MORE,
    REFERENCE,
    STAGES,
    TRAINING,
    after_all,
    after_chests,
    after_finder,
    after_flows,
    after_volumes,
    before_chests,
    before_volumes,
    joining,
    list_chests,
)
from medgen.checkpoint import Card
from medgen.config import from_mapping, read_mapping, resolve
from medgen.data.manifest import read_manifest, write_manifest
from medgen.data.study import Study
from medgen.tasks.aligning.config import AlignConfig
from medgen.tasks.rounds import round_named

OUT = Path("runs")


def test_every_run_goes_on_with_a_model_that_is_there() -> None:
    made: set[str] = set()
    for part in (
        before_chests,
        after_chests,
        before_volumes,
        after_volumes,
        after_finder,
        after_all,
        after_flows,
    ):
        ends = []  # what each chain has; of other chains nobody knows how far they are
        for chain in part(OUT):
            before = set(made)
            for line in chain:
                starts = [line[at + 1] for at, word in enumerate(line) if word == "--init"]
                starts += [w.partition("=")[2] for w in line if w.startswith("finder=")]
                assert before.issuperset(starts)
                out = line[line.index("-o") + 1]
                before |= {out, f"{out}/model"}
            ends.append(before)
        made |= set().union(*ends)


def test_every_run_is_part_of_the_model() -> None:
    joined = joining(OUT)
    assert joined[2 : 2 + len(STAGES)] == [str(OUT / stage.folder) for stage in STAGES]


def test_settings_are_of_the_rounds() -> None:
    for stage in STAGES:
        settings = tuple(f"{key}={value}" for key, value in stage.settings.items())
        if stage.teaches.startswith("align:"):
            config = resolve(AlignConfig, settings=settings)
        else:
            config = round_named(stage.teaches).settle(settings=settings)
        assert config.fit.steps > 0


def test_reference_is_never_trained_on(tmp_path: Path) -> None:
    (tmp_path / CHESTS).mkdir()
    studies = [
        Study(f"study-{at:04d}", f"study-{at:04d}", text=tmp_path / CHESTS / f"{at}.txt")
        for at in range(COMPARED.stop + 20)
    ]
    for study in studies:
        assert study.text is not None
        study.text.write_text("No effusion.")
    write_manifest(studies, tmp_path / CHESTS / "manifest.jsonl")
    list_chests(tmp_path)
    training, more, reference = (
        {study.id for study in read_manifest(tmp_path / name)}
        for name in (TRAINING, MORE, REFERENCE)
    )
    assert len(training) == COMPARED.start
    assert len(reference) == COMPARED.stop - COMPARED.start
    assert training | reference | more == {study.id for study in studies}
    assert training < more
    assert not more & reference


def test_the_card_is_one() -> None:
    card = from_mapping(Card, {"version": "", **read_mapping(CARD)}, origin=str(CARD))
    assert card.task == "generate"
