"""Each encoder sees the studies that have its modality; what is frozen stays as it is."""

from pathlib import Path

import pytest
import torch

from medgen.align.aligner import Aligner
from medgen.align.central import Given, alignment_losses
from medgen.checkpoint import Card, load_part, save_model, verify
from medgen.config import from_mapping, to_mapping
from medgen.encoders.cells import CellEncoder
from medgen.encoders.image import ImageEncoderConfig
from medgen.encoders.text import TextEncoder, TextEncoderConfig
from medgen.encoders.tokenizer import END, START
from medgen.modality import Modality

TEXT, XRAY, CT, MRI = Modality
TEXT_CONFIG = TextEncoderConfig(20, 8, width=16, layers=1, heads=2, embedding=12)
IMAGE_CONFIGS = {
    XRAY: ImageEncoderConfig(2, 1, (8, 8), width=16, layers=1, heads=2, embedding=12),
    CT: ImageEncoderConfig(3, 1, (8, 8), width=16, layers=1, heads=2, embedding=12),
}


@pytest.fixture
def aligner() -> Aligner:
    torch.manual_seed(0)
    images = {modality: CellEncoder(config) for modality, config in IMAGE_CONFIGS.items()}
    return Aligner({TEXT: TextEncoder(TEXT_CONFIG), **images})


def studies() -> dict[Modality, Given]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.tensor([[START, word, END] for word in (5, 6, 7, 8)])
    xrays = torch.rand(4, 1, 8, 12, generator=generator)
    volumes = torch.rand(4, 1, 8, 8, 4, generator=generator)
    return {
        TEXT: Given(ids, torch.tensor([True, True, True, False])),
        XRAY: Given(xrays, torch.tensor([True, True, False, True])),
        CT: Given(volumes, torch.tensor([False, True, True, False])),
    }


def test_each_embedding_is_its_encoders(aligner: Aligner) -> None:
    batch = studies()
    embedded = aligner(batch)
    assert list(embedded) == [TEXT, XRAY, CT]
    for modality, given in embedded.items():
        alone = aligner.encoders[modality](batch[modality].rows[given.present]).embedding
        torch.testing.assert_close(given.rows[given.present], alone)
        assert not given.rows[~given.present].any()
        assert torch.equal(given.present, batch[modality].present)


def test_what_fills_the_gaps_is_never_seen(aligner: Aligner) -> None:
    batch, filled = studies(), studies()
    for modality in (XRAY, CT):
        filled[modality].rows[~filled[modality].present] = torch.nan
    one, other = aligner(batch), aligner(filled)
    assert all(torch.equal(one[modality].rows, other[modality].rows) for modality in one)


def test_a_modality_that_nobody_has_may_be_left_out(aligner: Aligner) -> None:
    batch = studies()
    del batch[CT]
    embedded = aligner(batch)
    assert not embedded[CT].present.any()
    assert embedded[CT].rows.shape == (4, 12)
    losses = alignment_losses(embedded, aligner.temperature())
    assert losses["text-ct"].item() == 0


def test_only_what_is_named_is_trained(aligner: Aligner) -> None:
    aligner.train_only([XRAY])
    sum(alignment_losses(aligner(studies()), aligner.temperature()).values()).backward()
    trained = {name.split(".")[1] for name, p in aligner.named_parameters() if p.grad is not None}
    assert trained == {"xray", "log_scale"}
    aligner.train_only(Modality)
    assert all(parameter.requires_grad for parameter in aligner.parameters())


def test_the_hub_trains_every_encoder(aligner: Aligner) -> None:
    sum(alignment_losses(aligner(studies()), aligner.temperature()).values()).backward()
    assert not [name for name, p in aligner.named_parameters() if p.grad is None]


def test_lengths_that_differ_are_refused() -> None:
    other = TextEncoder(TextEncoderConfig(20, 8, width=16, layers=0, heads=2, embedding=9))
    with pytest.raises(ValueError, match=r"'text': 9, 'ct': 12"):
        Aligner({TEXT: other, CT: CellEncoder(IMAGE_CONFIGS[CT])})


def test_every_encoder_is_a_part_of_a_model_folder(aligner: Aligner, tmp_path: Path) -> None:
    parts = dict(aligner.encoders.items())
    configs = {name: to_mapping(encoder.config) for name, encoder in parts.items()}
    save_model(tmp_path / "model", Card("tiny", "1", "align"), parts, configs=configs)
    card = verify(tmp_path / "model")
    config = from_mapping(ImageEncoderConfig, card.parts["xray"].config)
    assert config == IMAGE_CONFIGS[XRAY]
    loaded = CellEncoder(config)
    loaded.load_state_dict(load_part(tmp_path / "model", card, "xray"))
    image = studies()[XRAY].rows
    one, other = loaded(image).embedding, aligner.encoders["xray"](image).embedding
    torch.testing.assert_close(one, other, atol=5e-3, rtol=0)  # fp16 on disk


@pytest.mark.slow
def test_a_hundred_steps_find_each_others_partners(aligner: Aligner) -> None:
    """Four texts name where the light is; two modalities show it."""
    quarters = [(slice(0, 4), slice(0, 4)), (slice(0, 4), slice(4, 8))]
    quarters += [(slice(4, 8), slice(0, 4)), (slice(4, 8), slice(4, 8))]
    xrays, volumes = torch.zeros(4, 1, 8, 8), torch.zeros(4, 1, 8, 8, 4)
    for item, (rows, columns) in enumerate(quarters):
        xrays[item, 0, rows, columns] = 1
        volumes[item, 0, rows, columns] = 1
    everybody = torch.ones(4, dtype=torch.bool)
    values = {TEXT: studies()[TEXT].rows, XRAY: xrays, CT: volumes}
    batch = {modality: Given(rows, everybody) for modality, rows in values.items()}
    optimizer = torch.optim.Adam(aligner.parameters(), 2e-3)
    for _ in range(100):
        losses = alignment_losses(aligner(batch), aligner.temperature())
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    assert max(loss.item() for loss in losses.values()) < 0.1
    embedded = aligner(batch)
    similarity = embedded[XRAY].rows @ embedded[CT].rows.T  # a pair that was never trained
    assert similarity.argmax(1).tolist() == [0, 1, 2, 3]
