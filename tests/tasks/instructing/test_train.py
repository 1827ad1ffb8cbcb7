"""A reader learns from a manifest what references are for; everything else stays as it was."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from medgen.checkpoint import TrainingRange, _card_text, load_part, read_card
from medgen.cli import app
from medgen.config import from_mapping
from medgen.diffusion.guidance import Guidance
from medgen.diffusion.noise import generator_for
from medgen.errors import ModelError, UsageError
from medgen.instruct.instruction import Instruction, Role
from medgen.io.before_after import LINE, MARGIN, SIDE
from medgen.io.preview import panel, spread
from medgen.modality import Modality
from medgen.tasks.fitting.config import FitConfig
from medgen.tasks.flows.conditions import Told, told_texts
from medgen.tasks.generate import generate, load_generator, understood
from medgen.tasks.generating.config import GenerateConfig
from medgen.tasks.generating.generator import voice_of
from medgen.tasks.instructing.model import roles_taught
from medgen.tasks.instructing.references import read_references
from medgen.tasks.instructing.train import InstructTrainConfig, train_instruct
from tests.unchecked import unchecked

FIT = FitConfig(steps=2, batch=4, learning_rate=3e-3, warmup=0, ema_decay=0.0)
HEAD = Path(__file__).parents[3] / "sample_data" / "head" / "ct.nii.gz"
SHAPE = {"reader": {"width": 16, "layers": 1, "heads": 2}, "tasks": ["subject", "look"]}


def config_of(init: Path, **more: object) -> InstructTrainConfig:
    config = from_mapping(InstructTrainConfig, {**SHAPE, "init": str(init)})
    return replace(config, **{"fit": FIT, **more})


def trained(config: InstructTrainConfig, out: Path, manifest: Path, **more: object) -> Path:
    for _ in train_instruct(config, out, manifest=manifest, **more):
        pass
    return out / "model"


@pytest.fixture(scope="module")
def reads(
    corner_flows: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """`model`, which has learned to put the square where a subject has it; and its `out`."""
    out = tmp_path_factory.mktemp("reads")
    config = config_of(corner_flows.model, tasks=("subject",), drop=0.9, looks=0)
    more = {"steps": 160, "batch": 16, "learning_rate": 1e-2, "warmup": 10, "ema_decay": 0.9}
    with unchecked():
        model = trained(replace(config, fit=replace(FIT, **more)), out, corner_flows.manifest)
    return SimpleNamespace(model=model, out=out, studies=corner_flows.manifest.parent)


def bright_corner(image: np.ndarray) -> tuple[int, int]:
    """Row and column, 0 or 1, of the brightest quarter."""
    half = image.shape[0] // 2
    quarters = image[: 2 * half, : 2 * half].reshape(2, half, 2, half).mean((1, 3))
    row, column = np.unravel_index(quarters.argmax(), (2, 2))
    return int(row), int(column)


def test_all_but_the_reader_stays_as_it_was(
    corner_flows: SimpleNamespace, reads: SimpleNamespace
) -> None:
    before, after = (read_card(one) for one in (corner_flows.model, reads.model))
    assert after.parts.keys() - before.parts.keys() == {"instruct-xray"}
    assert {name: after.parts[name] for name in before.parts} == before.parts
    frozen = after.extra["training-instruct-xray"][0]["frozen"]
    assert frozen == {name: part.sha256 for name, part in before.parts.items()}


def test_a_subject_decides_where_the_square_is(reads: SimpleNamespace) -> None:
    """Without a word of text; and without the reference, nothing of it is left."""
    hits = 0
    for at in range(4):
        words = (f"1={reads.studies / f'{at}.png'}:subject",)
        config = GenerateConfig(
            model=str(reads.model), references=words, number=2, steps=6, device="cpu"
        )
        instruction = Instruction.parse("[ref#1]", words)
        prompt = understood("[ref#1]", config)
        made = generate(prompt, [], config, references=read_references(instruction))
        truth = np.asarray(Image.open(reads.studies / f"{at}.png"))
        hits += sum(bright_corner(one.image.voxels) == bright_corner(truth) for one in made)
    assert hits >= 6, hits  # of 8; chance finds 2


def test_an_ignored_reference_is_none(reads: SimpleNamespace) -> None:
    """`reference_guidance` 0 is the text alone; so is a plain prompt: to the bit."""
    config = GenerateConfig(model=str(reads.model), steps=2, device="cpu")
    text = "Mass in the left upper lobe."
    words = (f"1={reads.studies / '1.png'}:subject",)
    ignoring = replace(config, references=words, reference_guidance=0.0)
    marked = f"{text} Of the patient in [ref#1]."
    references = read_references(Instruction.parse(marked, words))
    plain, ignored, heard = (
        next(generate(understood(said, one), [], one, references=given)).image.voxels
        for said, one, given in (
            (text, config, ()),
            (marked, ignoring, references),
            (marked, replace(ignoring, reference_guidance=1.0), references),
        )
    )
    assert np.array_equal(plain, ignored)
    assert not np.array_equal(plain, heard)


def test_text_and_references_are_pushed_towards_at_once(reads: SimpleNamespace) -> None:
    """Two evaluations, from one that is told and shown nothing; without a text, too."""
    config = GenerateConfig(model=str(reads.model), device="cpu")
    loaded, kind = load_generator(config), config.kinds[0]
    words = (f"1={reads.studies / '1.png'}:subject",)
    references = read_references(Instruction.parse("[ref#1]", words))
    text = told_texts(loaded.encoders.aligner.text_encoder, loaded.encoders.tokenizer, ["Mass."])
    noisy = torch.randn(1, *loaded.latent_shape(kind.modality), generator=generator_for(0, 0))

    def clean(told: list[Told], scale: float, **shown: Any) -> Tensor:
        voice = voice_of(loaded, kind, [told], Guidance(scale), spacing=None, **shown)
        with torch.no_grad():
            return voice.denoise(noisy, torch.tensor([0.7]))

    nothing = clean(text, 0.0)
    for told in (text, []):
        seen = clean(told, 1.0, references=references, reference_guidance=1.0)
        both = clean(told, 3.0, references=references)
        assert not torch.equal(seen, nothing)
        assert torch.equal(both, nothing.lerp(seen, 3.0))


def test_a_run_that_was_stopped_goes_on_to_the_bit(
    corner_flows: SimpleNamespace, tmp_path: Path
) -> None:
    config = config_of(corner_flows.model, fit=replace(FIT, steps=4))
    whole = trained(config, tmp_path / "whole", corner_flows.manifest)
    first = train_instruct(config, tmp_path / "parts", manifest=corner_flows.manifest)
    next(first), next(first)
    first.close()
    again = trained(config, tmp_path / "parts", corner_flows.manifest, resume=True)
    card = read_card(whole)
    one, other = (load_part(model, card, "instruct-xray") for model in (whole, again))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_baseline_takes_raw_references(corner_flows: SimpleNamespace, tmp_path: Path) -> None:
    """One task, and nothing but the way of its references is another; and they are heard."""
    config = config_of(corner_flows.model, tasks=("subject",))
    fit = replace(FIT, steps=12, learning_rate=1e-2)  # so long that a grey level shows it
    raw = replace(config, reader=replace(config.reader, raw=True), fit=fit)
    model = trained(raw, tmp_path / "raw", corner_flows.manifest)
    assert read_card(model).parts["instruct-xray"].config["raw"] > 0
    studies = corner_flows.manifest.parent
    made = []
    for at in (0, 3):
        words = (f"1={studies / f'{at}.png'}:subject",)
        asked = GenerateConfig(model=str(model), references=words, steps=2, device="cpu")
        references = read_references(Instruction.parse("[ref#1]", words))
        prompt = understood("[ref#1]", asked)
        made.append(next(generate(prompt, [], asked, references=references)).image.voxels)
    assert not np.array_equal(*made)
    with pytest.raises(UsageError, match=r"raw channels; --set reader\.raw=true"):
        trained(replace(config, init=str(model)), tmp_path / "other", corner_flows.manifest)
    wide = replace(raw, init=str(model), reader=replace(raw.reader, width=32))
    with pytest.raises(UsageError, match=r"another shape .*width=16.*--set anew=true"):
        trained(wide, tmp_path / "wide", corner_flows.manifest)
    new = replace(config, init=str(model), anew=True)
    begun = trained(new, tmp_path / "anew", corner_flows.manifest)
    assert read_card(begun).parts["instruct-xray"].config["raw"] == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"tasks": ("region",)}, "no study has masks"),
        ({"hold_out": ("subject", "look")}, "every task is held out"),
        ({"tasks": ("mood",)}, "task 'mood': is none of"),
    ],
)
def test_nothing_to_learn(
    corner_flows: SimpleNamespace, tmp_path: Path, more: dict[str, tuple[str, ...]], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        trained(config_of(corner_flows.model, **more), tmp_path, corner_flows.manifest)


def test_a_model_without_the_flow_says_so(corner_flows: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="flow"):
        trained(config_of(corner_flows.codecs), tmp_path, corner_flows.manifest)


def test_what_a_model_has_its_runs_remember(reads: SimpleNamespace, tmp_path: Path) -> None:
    """Nobody asked for a size; the one that it has stands in the card."""
    config = InstructTrainConfig(init=str(reads.model), tasks=("look",), fit=FIT)
    card = read_card(trained(config, tmp_path, reads.studies / "manifest.jsonl"))
    runs = card.extra["training-instruct-xray"]
    assert [run["config"]["reader"]["width"] for run in runs] == [16, 16]
    assert roles_taught(card, Modality.XRAY) == {Role.SUBJECT, Role.LOOK}
    new = trained(replace(config, anew=True), tmp_path / "new", reads.studies / "manifest.jsonl")
    assert roles_taught(read_card(new), Modality.XRAY) == {Role.LOOK}


def run(*words: object) -> int:
    return app.main(["generate", *map(str, words)])


def test_the_sidecar_names_roles_and_hashes_and_no_file(
    reads: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = tmp_path / "JaneDoe.png"
    scan.write_bytes((reads.studies / "2.png").read_bytes())
    record = tmp_path / "record.json"
    words = ["--text", "Mass, of the patient in [ref#1].", "--ref", f"1={scan}"]
    more = ["--model", reads.model, "--device", "cpu", "--steps", 2, "-o", tmp_path / "a.png"]
    assert run(*words, *more, "--record", record) == 0, capsys.readouterr().err
    told = json.loads((tmp_path / "a.json").read_text())
    (reference,) = told["References"]
    assert (reference["Mark"], reference["Role"], reference["Kind"]) == (1, "subject", "xray")
    assert len(reference["SHA256"]) == 64
    assert told["Prompt"] == "Mass."
    assert "JaneDoe" not in (tmp_path / "a.json").read_text() + record.read_text()
    assert json.loads(record.read_text())["inputs"] == [{"sha256": reference["SHA256"]}]


def test_a_sheet_shows_the_reference_and_what_became_of_it(
    reads: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan, sheet = reads.studies / "2.png", tmp_path / "sheet.png"
    words = ["--text", "Mass, of the patient in [ref#1].", "--ref", f"1={scan}", "--sheet", sheet]
    more = ["--model", reads.model, "--device", "cpu", "--steps", 2, "-o", tmp_path / "a.png"]
    assert run(*words, *more) == 0, capsys.readouterr().err
    drawn = Image.open(sheet)
    assert drawn.text["Synthetic"] == "yes"
    below, edge = MARGIN + 2 * LINE, 2 * MARGIN + SIDE
    pictures = [np.asarray(drawn)[below : below + SIDE, at : at + SIDE, 0] for at in (MARGIN, edge)]
    assert bright_corner(pictures[0]) == bright_corner(np.asarray(Image.open(scan)))
    made = panel(spread(np.asarray(Image.open(tmp_path / "a.png"))), (1.0, 1.0), SIDE)
    assert np.array_equal(pictures[1], made)


def test_a_model_that_reads_nothing_says_how_to_train_it(
    corner_flows: SimpleNamespace,
    reads: SimpleNamespace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--text", "in the look of [ref#1]", "--ref", f"1={reads.studies / '0.png'}"]
    assert run(*words, "--model", corner_flows.model, "-o", tmp_path / "out") == 5
    said = capsys.readouterr().err
    assert "references: [ref#1] look" in said
    assert "never learned to read references; train it: --round instruct" in said
    assert not (tmp_path / "out").exists()


def test_a_batch_finds_its_references_beside_it(
    reads: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "0.png").write_bytes((reads.studies / "0.png").read_bytes())
    lines = [
        {"id": "a", "text": "Mass as [ref#1].", "references": {"1": {"file": "0.png"}}},
        {"id": "b", "text": "Mass in the left upper lobe."},
    ]
    batch = tmp_path / "p.jsonl"
    batch.write_text("".join(json.dumps(line) + "\n" for line in lines))
    more = ["--model", reads.model, "--device", "cpu", "--steps", 2, "-o", tmp_path / "out"]
    assert run("--texts", batch, *more) == 0
    said = capsys.readouterr().err
    assert "a: [ref#1] context: is nothing that this model learned; say --ref N=FILE:ROLE" in said
    assert "of subject" in said
    assert json.loads((tmp_path / "out" / "a-0001.json").read_text())["References"]
    assert "References" not in json.loads((tmp_path / "out" / "b-0001.json").read_text())


def test_references_of_a_config_are_references(reads: SimpleNamespace, tmp_path: Path) -> None:
    scan, config = reads.studies / "0.png", tmp_path / "config.toml"
    config.write_text(f'references = ["1={scan}:subject"]\n')
    words = ["--text", "Mass [ref#1].", "--config", config, "--ref-guidance", 0.5, "--steps", 2]
    assert run(*words, "--model", reads.model, "--device", "cpu", "-o", tmp_path / "a.png") == 0
    assert json.loads((tmp_path / "a.json").read_text())["ReferenceGuidance"] == 0.5


def test_an_input_with_an_equals_sign_in_its_name_is_protected(
    reads: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = tmp_path / "x=1.png"
    scan.write_bytes((reads.studies / "2.png").read_bytes())
    words = ["--text", "Mass.", "--from", scan, "-o", scan, "--overwrite"]
    assert run(*words, "--model", reads.model, "--device", "cpu") == 2
    assert "is one of the inputs" in capsys.readouterr().err


def test_a_radiograph_from_the_side_is_no_reference(
    reads: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = reads.studies / "2.png"
    words = ["--text", "Mass [ref#1].", "--ref", f"1=xray:lateral={scan}", "-o", tmp_path / "a.png"]
    assert run(*words, "--model", reads.model, "--device", "cpu") == 2
    assert "no model reads a radiograph from the side" in capsys.readouterr().err


def test_images_that_count_nothing_are_no_prompt(
    reads: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--from", reads.studies / "2.png", "--weight", 0, "-o", tmp_path / "a.png"]
    assert run(*words, "--model", reads.model, "--device", "cpu") == 2
    assert "the prompt is empty" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["-o", "--sheet", "--preview"])
def test_a_result_never_replaces_a_reference(
    reads: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    scan = tmp_path / "scan.png"
    scan.write_bytes((reads.studies / "2.png").read_bytes())
    words = ["--text", "as [ref#1]", "--ref", f"1={scan}", "-o", tmp_path / "a.png", option, scan]
    assert run(*words, "--model", reads.model, "--overwrite") == 2
    assert "scan.png: is one of the inputs" in capsys.readouterr().err
    assert scan.read_bytes() == (reads.studies / "2.png").read_bytes()


def test_a_scan_unlike_those_of_training_is_refused(
    reads: SimpleNamespace,
    volumes: SimpleNamespace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = tmp_path / "model"
    shutil.copytree(reads.model, model)
    card = replace(read_card(model), training_range=TrainingRange((0.5, 3.0), (20.0, 500.0)))
    (model / "model.json").write_text(_card_text(card), encoding="utf-8")
    ct = volumes.save(volumes.head("ct"), tmp_path / "ct.nii.gz", np.diag([9.0, 9, 9, 1]))
    words = ["--text", "in the look of [ref#1]", "--ref", f"1={ct}", "--model", model]
    assert run(*words, "--device", "cpu", "-o", tmp_path / "out") == 4
    said = capsys.readouterr().err
    assert "voxel spacing 9 x 9 x 9 mm; the model was trained on 0.5 to 3 mm" in said
    assert "use --force to go on anyway" in said
    assert not (tmp_path / "out").exists()
    assert run(*words, "--device", "cpu", "--steps", 1, "-o", tmp_path / "out", "--force") == 0
    assert "voxel spacing 9 x 9 x 9 mm" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given",
    [
        ["--text", "Normal chest of [ref#1].", "--ref", f"1=ct={HEAD}:subject"],
        ["--text", "Normal chest.", "--from", f"ct={HEAD}"],
    ],
)
def test_no_chest_is_made_after_a_head(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str]
) -> None:
    words = [*given, "--device", "cpu", "--steps", "1", "-o", tmp_path / "a.png"]
    assert run(*words) == 4
    assert "of it is unlike any ct of training; is it one?" in capsys.readouterr().err
    assert run(*words, "--force") == 0
    assert "what is made may follow it less" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--text", "as [ref#1]"], 2, "has no file; add --ref 1=FILE"),
        (["--text", "as [ref#1]", "--ref", "1=gone.png"], 4, "gone.png"),
        (["--text", "as [ref#1]", "--ref", "1=pet=a.png"], 2, "'pet' is not one of"),
        (["--text", "as [ref#1]", "--ref", "1=a.png:mood"], 2, "the role 'mood' is none of"),
        (["--text", "Mass.", "--sheet", "s.png"], 2, "--sheet: shows what was before; give a scan"),
        (["--text", "as [ref#1]", "--ref", "1=labels.png", "--sheet", "s.jpg"], 2, "drawn as .png"),
        (
            ["--text", "[ref#1]", "--ref", "1=labels.png:anatomy", "--sheet", "s.png"],
            2,
            "--sheet: shows what was before; give a scan",
        ),
        (["--text", "a", "--ref", "1=a.png"], 2, "the text has no [ref#1]"),
        (
            ["--text", "anatomy of [ref#1]", "--ref", "1=labels.png"],
            4,
            "labels 40, 250 are unknown",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line(
    reads: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("labels.png").write_bytes((reads.studies / "0.png").read_bytes())
    assert run(*words, "--model", reads.model, "--device", "cpu", "-o", "out") == code
    told = capsys.readouterr().err.splitlines()
    assert said in told[-1]
    assert len([line for line in told if "error" in line]) == 1
    assert not Path("out").exists()
