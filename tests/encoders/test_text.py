"""What a text is encoded as depends on its words and their order, and on nothing around it."""

import pytest
import torch

from medgen.encoders.text import TextEncoder, TextEncoderConfig
from medgen.encoders.tokenizer import END, PAD, START

CONFIG = TextEncoderConfig(vocabulary=50, max_tokens=16, width=16, layers=2, heads=2, embedding=12)
TEXTS = [[START, 7, 8, 9, 10, END], [START, 8, 7, END], [START, END]]


@pytest.fixture
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    return TextEncoder(CONFIG)


def padded(texts: list[list[int]], length: int) -> torch.Tensor:
    return torch.tensor([text + [PAD] * (length - len(text)) for text in texts])


def test_padding_is_never_looked_at(encoder: TextEncoder) -> None:
    """Whatever stands where padding is, to the last bit."""
    before = encoder(padded(TEXTS, 8))
    with torch.no_grad():
        encoder.piece.weight[PAD] = 1e3 * torch.randn(16)
    after = encoder(padded(TEXTS, 8))
    assert torch.equal(before.embedding, after.embedding)
    assert torch.equal(before.context[before.mask], after.context[after.mask])


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_is_its_items_without_padding(encoder: TextEncoder, training: bool) -> None:
    encoder.train(training)
    with torch.set_grad_enabled(training):
        batch = encoder(padded(TEXTS, 16))
        for item, text in enumerate(TEXTS):
            alone = encoder(torch.tensor([text]))
            torch.testing.assert_close(batch.embedding[item], alone.embedding[0])
            torch.testing.assert_close(batch.context[item, : len(text)], alone.context[0])
            assert batch.mask[item].tolist() == [True] * len(text) + [False] * (16 - len(text))


def test_the_order_of_a_batch_is_kept(encoder: TextEncoder) -> None:
    ids = padded(TEXTS, 6)
    torch.testing.assert_close(encoder(ids.flip(0)).embedding, encoder(ids).embedding.flip(0))


def test_embeddings_have_unit_length(encoder: TextEncoder) -> None:
    torch.testing.assert_close(encoder(padded(TEXTS, 6)).embedding.norm(dim=1), torch.ones(3))


def test_the_order_of_words_matters(encoder: TextEncoder) -> None:
    ids = torch.tensor([[START, 7, 8, 9, END], [START, 9, 8, 7, END]])
    one, other = encoder(ids).embedding
    assert (one - other).abs().max() > 1e-3


def test_the_empty_text_is_a_text(encoder: TextEncoder) -> None:
    torch.testing.assert_close(encoder.empty().embedding, encoder(padded([[1, 2]], 5)).embedding)
    assert encoder.empty().embedding.isfinite().all()


def test_gradients_reach_every_parameter(encoder: TextEncoder) -> None:
    encoded = encoder(padded(TEXTS, 6))
    (encoded.embedding.sum() + encoded.context.sum()).backward()
    assert not [name for name, p in encoder.named_parameters() if p.grad is None]


def test_autocast_leaves_the_embedding_in_float32(encoder: TextEncoder) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder(padded(TEXTS, 6)).embedding.dtype == torch.float32


def test_a_text_too_long_is_refused(encoder: TextEncoder) -> None:
    with pytest.raises(ValueError, match="17 tokens; this encoder takes 16"):
        encoder(torch.full((1, 17), 5))
