"""The commands that make the bundled encoders name runs and files that come before them."""

from pathlib import Path

from benchmarks.train_align import (
    CARD,
    FEATURES,
    IMAGES,
    MANIFESTS,
    STUDIES,
    TEXT,
    link_heads,
    stages,
)
from medgen.checkpoint import Card
from medgen.config import from_mapping, read_mapping

OUT = Path("runs")


def test_every_encoder_is_trained_from_one_that_is_there() -> None:
    *_, text, patches, images = stages(Path("data"), OUT)
    assert len(text) == 1
    assert "--init" not in text[0]
    made = [str(OUT / "encoders" / "text" / "model")]
    for lines, phases in ((patches, FEATURES), (images, IMAGES)):
        for line, phase in zip(lines, phases, strict=True):
            assert line[line.index("--init") + 1] in made
            assert line[line.index("--train") + 1] == phase.encoder
        made += [str(OUT / "encoders" / phase.name / "model") for phase in phases]
    assert {TEXT.encoder, *(phase.encoder for phase in IMAGES)} == {"text", "xray", "ct", "mri"}


def test_manifests_are_of_folders_that_are_made() -> None:
    made = {each.name for each in STUDIES}
    assert {folder for folders in MANIFESTS.values() for folder in folders} == made
    assert {phase.manifest for phase in (*FEATURES, *IMAGES)} == set(MANIFESTS)


def test_held_out_heads_are_not_linked(tmp_path: Path) -> None:
    (tmp_path / "heads").mkdir()
    for number in (1, 18, 19, 20):
        (tmp_path / "heads" / f"head_{number:02d}.nii.gz").write_bytes(b"")
    link_heads(tmp_path, tmp_path / "links")
    names = [path.name for path in sorted((tmp_path / "links").iterdir())]
    assert names == ["head_01.nii.gz", "head_18.nii.gz"]


def test_the_card_is_one() -> None:
    basis = {"name": "", "version": "", "task": ""}
    card = from_mapping(Card, basis | read_mapping(CARD), origin=str(CARD))
    assert card.task == "align"
    assert card.training_range is not None
