"""Attention in heads is each head's softmax over what is offered, side by side."""

import torch

from medgen.diffusion.heads import attended


def test_heads_answer_by_themselves() -> None:
    generator = torch.Generator().manual_seed(0)
    asked, keys, values = (torch.randn(2, n, 6, generator=generator) for n in (5, 4, 4))
    bias = torch.randn(2, 1, 1, 4, generator=generator)
    bias[0, 0, 0, 2] = -torch.inf
    whole = attended(asked, torch.cat([keys, values], dim=-1), 2, bias)
    for part in (slice(0, 3), slice(3, 6)):
        logits = asked[..., part] @ keys[..., part].mT / 3**0.5 + bias[:, 0]
        torch.testing.assert_close(whole[..., part], logits.softmax(-1) @ values[..., part])
