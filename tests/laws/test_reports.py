"""What is written of facts can be read back as the same facts."""

from itertools import product

import pytest
import torch
from torch import Generator

from medgen.finding import Course, Finding, Presence, Side
from medgen.metrics.findings import read_findings
from medgen.metrics.phrases import load_phrases
from medgen.phantom.report import GONE, HELD_OUT, NOUNS, REGIONS, SENTENCES, sentence, write_report

PHRASES = load_phrases()
THORAX = ["upper_lobe", "lower_lobe", "apex", "base", None]
HEAD = ["frontal", "cerebellum", "basal_ganglia", None]
IN_HEAD = {*list(NOUNS)[list(NOUNS).index("haemorrhage") :]}
UNSIDED = {*PHRASES.unsided, "ventriculomegaly", "atrophy", "midline_shift", "emphysema", "oedema"}


def pick(values: list, generator: Generator):  # type: ignore[no-untyped-def, type-arg]
    return values[int(torch.randint(len(values), (), generator=generator))]


def fact(name: str, generator: Generator) -> Finding:
    presence = pick(list(Presence), generator)
    if presence is Presence.ABSENT:
        return Finding(name, presence)
    has_place = name not in UNSIDED
    return Finding(
        name,
        presence,
        side=pick([Side.LEFT, Side.RIGHT, Side.BOTH], generator) if has_place else None,
        region=pick(HEAD if name in IN_HEAD else THORAX, generator) if has_place else None,
        size_mm=pick([None, 4.0, 12.0, 25.0], generator) if has_place else None,
        severity=pick([None, "small", "moderate", "large"], generator),
        course=pick([None, None, Course.NEW, Course.UNCHANGED, Course.LARGER], generator),
    )


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("name", NOUNS)
def test_every_fact_is_read_as_it_was_written(name: str, held_out: bool) -> None:
    for seed in range(60):
        generator = Generator().manual_seed(seed)
        true = fact(name, generator)
        words = sentence(true, generator=generator, held_out=held_out)
        assert read_findings(words, PHRASES) == [true], words


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("name", NOUNS)
def test_what_is_gone_is_read_as_absent_and_gone(name: str, held_out: bool) -> None:
    for seed in range(30):
        generator = Generator().manual_seed(seed)
        side = None if name in UNSIDED else pick([Side.LEFT, Side.RIGHT, Side.BOTH], generator)
        true = Finding(name, Presence.ABSENT, side=side, course=Course.GONE)
        words = sentence(true, generator=generator, held_out=held_out)
        assert read_findings(words, PHRASES) == [true], words


@pytest.mark.parametrize("seed", range(60))
def test_a_report_says_its_facts_and_no_more(seed: int) -> None:
    generator = Generator().manual_seed(seed)
    names = [name for name in NOUNS if (name in IN_HEAD) == bool(seed % 2)]
    chosen = [names[at] for at in torch.randperm(len(names), generator=generator)[:4]]
    facts = [fact(name, generator) for name in chosen]
    report = write_report(facts, generator=generator, technique="PA view of the chest.")
    assert set(read_findings(report.text, PHRASES)) == set(facts), report.text


def test_a_normal_study_says_nothing_is_there() -> None:
    for seed in range(20):
        report = write_report([], generator=Generator().manual_seed(seed))
        assert read_findings(report.text, PHRASES) == []
        assert report.text.startswith("FINDINGS: ")


def test_facts_can_be_said_in_many_ways() -> None:
    for name, presence in product(["nodule", "pneumothorax"], Presence):
        true = Finding(name, presence)
        ways = {sentence(true, generator=Generator().manual_seed(seed)) for seed in range(300)}
        assert len(ways) >= 9
    assert all(len(templates) >= 12 for templates in (*SENTENCES.values(), GONE))


def test_held_out_sentences_are_never_in_training() -> None:
    for presence, templates in SENTENCES.items():
        true = Finding("pneumothorax", presence)
        seen, unseen = (
            {
                sentence(true, generator=Generator().manual_seed(seed), held_out=held_out)
                for seed in range(300)
            }
            for held_out in (False, True)
        )
        assert not seen & unseen
        assert len(unseen) == len(templates) // HELD_OUT


def test_every_region_and_severity_has_a_word_that_is_understood() -> None:
    assert REGIONS.keys() == set(PHRASES.region.meanings.values())


def test_a_finding_without_a_word_is_refused() -> None:
    with pytest.raises(ValueError, match="no word for gout"):
        write_report([Finding("gout")], generator=Generator())
