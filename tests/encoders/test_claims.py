"""What an image amounts to by its claims: the finder answers and stays, the rest learns."""

from dataclasses import replace

import pytest
import torch

from medgen.encoders.claims import ClaimEncoder
from medgen.encoders.finder import Finder, FinderConfig
from medgen.encoders.image import ImageEncoderConfig
from medgen.modality import Kind

KINDS = ("xray", "ct")
FINDER = FinderConfig(
    ("nodule:left", "nodule:right", "oedema"),
    ("lower_lobe", "upper_lobe"),
    KINDS,
    widths=(8, 8, 16),
    width=16,
    spots=("nodule",),
    spot_width=4,
)
SPACES = {"xray": (24, 16), "ct": (16, 8, 8)}
CHANNELS = {"xray": 1, "ct": 4}


def finder_of_all() -> Finder:
    torch.manual_seed(0)
    return Finder(FINDER).eval()


def encoder_of(word: str) -> ClaimEncoder:
    alone = finder_of_all().alone(Kind.parse(word))
    dims = len(SPACES[word])
    config = ImageEncoderConfig(dims, CHANNELS[word], width=12, heads=2, embedding=8)
    encoder = ClaimEncoder(replace(config, finder=alone.config))
    encoder.finder.load_state_dict(alone.state_dict())
    return encoder


def images(word: str, batch: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, CHANNELS[word], *SPACES[word], generator=generator) * 2 - 1


@torch.no_grad()
@pytest.mark.parametrize("word", KINDS)
def test_a_finder_alone_answers_what_it_answers_among_others(word: str) -> None:
    whole, kind, image = finder_of_all(), Kind.parse(word), images(word)
    alone = whole.alone(kind).eval()
    assert list(alone.stacks) == [word]
    one, other = whole(whole.tokens(kind, image)), alone(alone.tokens(kind, image))
    torch.testing.assert_close(one.odds, other.odds)
    torch.testing.assert_close(one.state, other.state)


@torch.no_grad()
@pytest.mark.parametrize("word", KINDS)
def test_features_are_what_the_finder_answers_and_what_that_is_worth(word: str) -> None:
    encoder, image = encoder_of(word), images(word)
    encoder.scale *= 0.5
    encoder.shift += 1
    finder = encoder.finder
    found = finder(finder.tokens(Kind.parse(word), image))
    (features,) = encoder.features(image)
    odds, chance, size, severity, region = features.mT.split((1, 1, 1, 3, 2), dim=-1)
    torch.testing.assert_close(odds[..., 0], (found.odds / 2 + 1) / 8)
    torch.testing.assert_close(chance, (odds * 8).sigmoid())
    torch.testing.assert_close(size[..., 0], found.size * chance[..., 0])
    for shares in (severity, region):  # of what is hardly there, hardly anything is said
        torch.testing.assert_close(shares.sum(-1), chance[..., 0])
    encoded = encoder(image)
    assert encoded.context.shape == (3, 3, 12)
    torch.testing.assert_close(encoded.embedding, encoder.read(features).embedding)


@pytest.mark.parametrize("word", KINDS)
def test_training_leaves_the_finder_as_it_is(word: str) -> None:
    encoder = encoder_of(word)
    encoder.eyes.requires_grad_(False)
    before = {name: one.clone() for name, one in encoder.finder.state_dict().items()}
    encoder.train()
    encoder(images(word)).embedding[:, 0].sum().backward()
    learning = {name for name, one in encoder.named_parameters() if one.requires_grad}
    assert all(encoder.get_parameter(name).grad is not None for name in learning)
    assert not any(name.startswith("finder.") for name in learning)
    after = encoder.finder.state_dict()  # statistics of its norms, too
    assert all(torch.equal(one, after[name]) for name, one in before.items())


@torch.no_grad()
@pytest.mark.parametrize("word", KINDS)
def test_a_batch_is_its_items_and_nothing_is_an_image_too(word: str) -> None:
    encoder, image = encoder_of(word).train(), images(word)
    items = torch.cat([encoder(item[None]).embedding for item in image])
    torch.testing.assert_close(encoder(image).embedding, items, atol=1e-5, rtol=0)
    black = torch.full((1, CHANNELS[word], *[8] * len(SPACES[word])), -1.0)
    assert torch.equal(encoder.empty().embedding, encoder(black).embedding)


def test_a_size_that_does_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="do not divide by 8"):
        encoder_of("xray")(torch.zeros(1, 1, 12, 16))


def test_claims_are_those_of_one_kind_of_images() -> None:
    for finder in (None, FINDER):
        with pytest.raises(ValueError, match="one kind"):
            ClaimEncoder(ImageEncoderConfig(2, 1, finder=finder))


@torch.no_grad()
def test_who_reads_the_claims_of_one_kind_reads_those_of_another() -> None:
    one, other = encoder_of("xray"), encoder_of("ct")
    claims = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(2))
    finder = {name: weights.clone() for name, weights in other.finder.state_dict().items()}
    one.which += 1
    one.scale += 1
    assert other.go_on_with(one)
    assert (other.scale == 1).all()  # what its own answers are worth
    torch.testing.assert_close(other.read(claims).embedding, one.read(claims).embedding)
    assert all(torch.equal(each, finder[name]) for name, each in other.finder.state_dict().items())
    foreign = FinderConfig(("oedema", "mass:left", "mass:right"), FINDER.regions, width=16)
    assert not other.go_on_with(ClaimEncoder(replace(one.config, finder=foreign)))
