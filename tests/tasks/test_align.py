"""Aligned encoders tell apart what they were shown, and are a model folder like any other."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medgen.checkpoint import read_card
from medgen.config import resolve
from medgen.data.counterfactuals import Change, Counterfactual, write_counterfactuals
from medgen.data.standard import StandardConfig, radiograph_view
from medgen.data.study import Split
from medgen.encoders.image import ImageEncoderConfig
from medgen.encoders.text import TextEncoderConfig
from medgen.encoders.tokenizer import train_tokenizer
from medgen.errors import InputError, ModelError, UsageError
from medgen.modality import Modality
from medgen.tasks.align import AlignLoss, align
from medgen.tasks.aligning.config import AlignConfig
from medgen.tasks.aligning.model import EncodersConfig, load_aligner, new_aligner
from medgen.tasks.aligning.retrieval import RetrievalConfig, evaluate_retrieval
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.fitting.fit import MODEL
from medgen.tasks.studies import AlignItem
from tests.tasks.align_toy import PLACES, write_corners
from tests.unchecked import unchecked

IMAGE = ImageEncoderConfig(widths=(8, 16), width=16, layers=1, heads=2, embedding=16)
TINY = AlignConfig(
    vocabulary=300,
    standard=StandardConfig(side=16, shape=(8, 8, 8), spacings=(8.0,)),
    encoders=EncodersConfig(
        text=TextEncoderConfig(max_tokens=48, width=16, layers=1, heads=2, embedding=16),
        xray=replace(IMAGE, spatial_dims=2),
        ct=replace(IMAGE, in_channels=4),
        mri=replace(IMAGE, in_channels=2),
    ),
    fit=FitConfig(steps=2, batch=4, learning_rate=3e-3, warmup=5, ema_decay=0.9, log_every=1),
)
DEVICE = torch.device("cpu")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four radiographs with a square in one corner, and the reports that say which."""
    return write_corners(tmp_path_factory.mktemp("studies"))


@pytest.fixture(scope="module")
def trained(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that has seen the four often."""
    out = tmp_path_factory.mktemp("runs") / "align"
    config = replace(TINY, fit=replace(TINY.fit, steps=150, batch=8))
    with unchecked():
        *_, last = align(config, out, manifest=manifest)
    assert last.loss["text-xray"] < 0.4
    return out / MODEL


def test_each_report_finds_its_radiograph(trained: Path, manifest: Path) -> None:
    loaded = load_aligner(trained, torch.device("cpu"))
    pictures = [
        radiograph_view(np.asarray(Image.open(manifest.parent / f"{n}.png")), loaded.standard.side)
        for n in range(4)
    ]
    ids = loaded.tokenizer.encode(list(PLACES), max_tokens=48).ids
    with torch.no_grad():
        seen = loaded.aligner.encoders[Modality.XRAY](torch.stack(pictures)).embedding
        said = loaded.aligner.encoders[Modality.TEXT](ids).embedding
    assert (said @ seen.mT).argmax(1).tolist() == [0, 1, 2, 3]
    assert (seen @ said.mT).argmax(1).tolist() == [0, 1, 2, 3]


def test_retrieval_measures_just_that(trained: Path, manifest: Path) -> None:
    found = evaluate_retrieval(manifest, RetrievalConfig(str(trained)))
    assert found.studies == 4
    assert found.model == "aligned 1"
    assert set(found.pairs) == {"text-xray"}  # there is neither CT nor MRI
    both = found.pairs["text-xray"]
    assert both.there.recall[1] == both.back.recall[1] == 1
    assert both.there.chance_recall[1] == 0.25
    assert found.unseen_words == 0
    assert json.loads(found.to_json())["pairs"]["text-xray"]["there"]["median_rank"] == 1


def test_a_report_in_another_language_is_told(
    trained: Path, manifest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (manifest.parent / "german.txt").write_text("Raumforderung im rechten Oberlappen.")
    rows = manifest.read_text().replace("1.txt", "german.txt")
    listed = manifest.parent / "german.jsonl"
    listed.write_text(rows)
    found = evaluate_retrieval(listed, RetrievalConfig(str(trained)))
    assert found.unseen_words == pytest.approx(1 / 4)  # all the words of one of four reports
    list(align(replace(TINY, init=str(trained)), tmp_path / "run", manifest=listed))
    assert "25 % of the reports' words are new to the text encoder" in caplog.text


def test_a_split_that_is_not_there_is_said(trained: Path, manifest: Path) -> None:
    with pytest.raises(InputError, match="no study of split test"):
        evaluate_retrieval(manifest, RetrievalConfig(str(trained), split=Split.TEST))


def test_studies_with_nothing_in_common_cannot_be_compared(trained: Path, manifest: Path) -> None:
    alone = manifest.parent / "alone.jsonl"
    row = {"id": "s", "patient": "p", "xray": "0.png", "text": "0.txt"}
    alone.write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match="no two studies"):
        evaluate_retrieval(alone, RetrievalConfig(str(trained)))


def test_the_card_says_what_the_model_is(trained: Path) -> None:
    card = read_card(trained)
    assert card.task == "align"
    assert card.steps == 150
    assert set(card.parts) == {"text", "xray", "temperature"}  # what there was to learn from
    assert (trained / "text.safetensors").stat().st_size < 200_000


def test_a_run_goes_on_from_another(trained: Path, manifest: Path, tmp_path: Path) -> None:
    config = replace(TINY, init=str(trained), invariant=0.0)
    first, *_ = align(config, tmp_path / "more", manifest=manifest)
    assert first.loss["text-xray"] < 0.7
    assert "invariant" not in first.loss


def test_whose_work_is_in_the_encoders_is_not_forgotten(
    trained: Path, manifest: Path, tmp_path: Path
) -> None:
    told = tmp_path / "card.toml"
    told.write_text('[[data]]\nname = "scans of a hospital"\nlicence = "CC-BY-4.0"\n')
    config = replace(TINY, init=str(trained), card=str(told))
    list(align(config, tmp_path / "more", manifest=manifest))
    again = replace(TINY, init=str(tmp_path / "more" / MODEL))
    list(align(again, tmp_path / "last", manifest=manifest))
    card = read_card(tmp_path / "last" / MODEL)
    assert [one.name for one in card.data] == ["scans of a hospital"]
    assert card.lineage[0] == read_card(trained).digest
    assert (len(card.lineage), card.steps) == (2, 154)
    list(align(replace(again, train=("xray",)), tmp_path / "xray", manifest=manifest))
    told = read_card(tmp_path / "xray" / MODEL)
    assert [told.extra[f"steps-{part}"] for part in ("text", "xray")] == [152, 154]
    assert told.steps == 154


def test_the_same_seed_gives_the_same_encoders(manifest: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        list(align(TINY, tmp_path / name, manifest=manifest))
    one, two = (read_card(tmp_path / name / MODEL) for name in ("one", "two"))
    assert one.parts == two.parts


def test_all_pairs_can_meet(manifest: Path, tmp_path: Path) -> None:
    first, *_ = align(replace(TINY, pairs="all"), tmp_path / "run", manifest=manifest)
    assert {"text-xray", "text-ct", "xray-ct", "ct-mri"} <= set(first.loss)
    assert first.loss["xray-ct"] == 0


def test_equal_reports_are_nothing_to_learn_from(manifest: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    same = manifest.parent / "same.jsonl"
    for row in rows:
        row["text"] = "0.txt"
        row["patient"] = "p"
    same.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UsageError, match="all reports say the same"):
        list(align(TINY, tmp_path / "run", manifest=same))


def test_a_manifest_without_reports_is_refused(manifest: Path, tmp_path: Path) -> None:
    bare = manifest.parent / "bare.jsonl"
    bare.write_text(json.dumps({"id": "s", "patient": "p", "xray": "0.png"}) + "\n")
    with pytest.raises(UsageError, match="nothing to align"):
        list(align(TINY, tmp_path / "run", manifest=bare))


def test_a_batch_of_one_is_refused() -> None:
    with pytest.raises(UsageError, match="batch of one"):
        AlignConfig(fit=FitConfig(steps=1, batch=1))


def test_another_model_is_not_taken_for_encoders() -> None:
    with pytest.raises(ModelError, match="without encoders"):
        load_aligner("base", torch.device("cpu"))


@pytest.fixture(scope="module")
def with_wordings(manifest: Path) -> Path:
    """The four studies, each with a second report and one that names the wrong side."""
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    for row, text in zip(rows, PLACES, strict=True):
        other = text.replace("left", "x").replace("right", "left").replace("x", "right")
        pairs = [
            Counterfactual(Change.SIDE, words, wrong)
            for words, wrong in ((text, other), (f"There is a {text}", f"There is a {other}"))
        ]
        row["counterfactuals"] = f"{row['id']}.json"
        write_counterfactuals(pairs, manifest.parent / row["counterfactuals"])
    path = manifest.parent / "wordings.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.slow
def test_text_is_trained_alone_then_frozen_while_radiographs_learn(
    with_wordings: Path, tmp_path: Path
) -> None:
    config = replace(TINY, train=("text",), fit=replace(TINY.fit, steps=60, batch=8))
    *_, last = align(config, tmp_path / "text", manifest=with_wordings)
    assert set(last.loss) == {"total", "text-text"}
    init = str(tmp_path / "text" / MODEL)
    config = replace(config, init=init, train=("xray",), fit=replace(config.fit, steps=150))
    *_, last = align(config, tmp_path / "xray", manifest=with_wordings)
    assert set(last.loss) == {"total", "text-xray", "invariant"}
    before, after = (
        load_aligner(tmp_path / run / MODEL, DEVICE).aligner for run in ("text", "xray")
    )
    for name, weights in before.encoders["text"].state_dict().items():
        assert torch.equal(weights, after.encoders["text"].state_dict()[name])
    assert [set(each.encoders) for each in (before, after)] == [{"text"}, {"text", "xray"}]
    found = evaluate_retrieval(with_wordings, RetrievalConfig(str(tmp_path / "xray" / MODEL)))
    assert found.choices["xray"]["side"].count == 8
    assert found.choices["xray"]["side"].right == 1
    assert json.loads(found.to_json())["choices"]["xray"]["side"]["right"] == 1


@torch.no_grad()
def test_what_a_frozen_text_encoder_says_does_not_depend_on_what_it_read_before() -> None:
    tokenizer = train_tokenizer(PLACES, 300)
    text = replace(TINY.encoders.text, vocabulary=tokenizer.size)
    config = replace(TINY, train=("xray",), encoders=replace(TINY.encoders, text=text))
    torch.manual_seed(0)
    aligner, view = new_aligner(config.encoders), torch.randn(2, 1, 16, 16)
    short, long = "Mass.", " ".join(PLACES)  # beside a longer one, a text is padded

    def items(*texts: str) -> list[AlignItem]:
        views = {Modality.XRAY: (view[0], view[1])}
        return [AlignItem(each, views, at) for at, each in enumerate(texts)]

    first, resumed = AlignLoss(tokenizer, config), AlignLoss(tokenizer, config)
    first(aligner, items(short, long))
    wanted = items(short, "Left mass.")
    assert first(aligner, wanted) == resumed(aligner, wanted)


def test_unknown_encoders_are_refused() -> None:
    with pytest.raises(UsageError, match="train video: choose from text, xray, ct, mri"):
        replace(TINY, train=("text", "video"))
    with pytest.raises(UsageError, match="train nothing"):
        replace(TINY, train=())
    with pytest.raises(UsageError, match="train text, text: name each once"):
        replace(TINY, train=("text", "text"))


def test_views_that_an_encoder_cannot_take_are_refused() -> None:
    with pytest.raises(UsageError, match=r"views of xray, 18 x 18: .* multiples of 4"):
        replace(TINY, standard=replace(TINY.standard, side=18))
    with pytest.raises(UsageError, match="side 0: choose 1 or more"):
        replace(TINY.standard, side=0)
    odd = replace(TINY.encoders, ct=replace(IMAGE, in_channels=3))
    with pytest.raises(UsageError, match=r"encoders\.ct\.in_channels is 4 for ct"):
        replace(TINY, encoders=odd)
    for name, weight in (("wordings", -1.0), ("diag_weight", -1.0), ("invariant", math.nan)):
        with pytest.raises(UsageError, match="weights must not be negative"):
            replace(TINY, **{name: weight})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("encoders.xray.widths=[]", "widths (): choose 1 or more"),
        ("encoders.ct.layers=-1", "layers -1: choose 0 or more"),
        ("encoders.text.max_tokens=1", "max_tokens 1: choose 2 or more"),
        ("encoders.text.embedding=32", "'text': 32, 'xray': 256, 'ct': 256, 'mri': 256} differ"),
        ("standard.spacings=[]", "spacings (): choose millimetres above 0"),
        ("augment.noise=-1", "noise -1.0: choose 0 or more"),
        ("augment.zoom=1", "zoom must be in [0, 1)"),
        ("vocabulary=3", "vocabulary 3: choose 259 or more"),
    ],
)
def test_settings_that_build_nothing_are_refused(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        resolve(AlignConfig, settings=[setting])
