"""The report codec: causal, of its latent alone, and able to learn reports by heart."""

import pytest
import torch

from medgen.errors import UsageError
from medgen.latents.posterior import sampled
from medgen.latents.report import END, PAD, START, ReportCodec, ReportCodecConfig, dropped

CONFIG = ReportCodecConfig(
    vocabulary=20, max_tokens=16, width=32, layers=1, heads=2, channels=4, length=4
)


def codec() -> ReportCodec:
    torch.manual_seed(0)
    return ReportCodec(CONFIG).eval()


def reports(number: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(3, 20, (number, 12), generator=generator)
    ids[:, 0], ids[:, 11] = START, END
    ids[1::2, 7], ids[1::2, 8:] = END, PAD
    return ids


def test_a_word_sees_nothing_of_what_comes_after() -> None:
    made, ids = codec(), reports(4)
    raw = made.posterior(ids).mean
    changed = ids.clone()
    changed[:, 6:] = 3
    before, after = made.logits(raw, ids), made.logits(raw, changed)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert (before[:, 6:] - after[:, 6:]).abs().max() > 1e-3


def test_padding_changes_nothing() -> None:
    made, ids = codec(), reports(4)
    short = ids[1:2, :8]
    padded = torch.nn.functional.pad(short, (0, 5), value=PAD)
    torch.testing.assert_close(made.encode(short), made.encode(padded))
    torch.testing.assert_close(made.encode(ids)[1:2], made.encode(short))


def test_the_latent_of_reports_has_mean_0_and_each_channel_deviation_1() -> None:
    made, ids = codec(), reports(40)
    made.calibrate([ids[:20], ids[20:]])
    latents = made.encode(ids)
    torch.testing.assert_close(latents.mean(0), torch.zeros(4, 4), atol=1e-4, rtol=0)
    deviation = latents.square().mean((0, 2)).sqrt()
    torch.testing.assert_close(deviation, torch.ones(4), atol=1e-4, rtol=0)


def test_a_report_longer_than_those_it_was_calibrated_on_does_not_lie_far_out() -> None:
    made = codec()
    made.calibrate([reports(40)[:, :6]])
    assert float(made.encode(reports(4)).abs().max().detach()) < 20
    made.calibrate([reports(1)])  # a single one has no deviation at all
    assert made.encode(reports(1)).isfinite().all()


@pytest.mark.slow
def test_reports_are_learned_by_heart_and_written_from_their_latents() -> None:
    made, ids = codec().train(), reports(8)
    optimizer = torch.optim.Adam(made.parameters(), 1e-2)
    for _ in range(300):
        raw = sampled(made.posterior(ids), torch.zeros(8, 4, 4))
        logits = made.logits(raw, dropped(ids[:, :-1], 0.3, torch.rand(8, 11)))
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=PAD
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    made.eval().calibrate([ids])
    written = made.decode(made.encode(ids))
    assert torch.equal(written, ids)
    assert made.decode(made.encode(ids), max_tokens=5).shape == (8, 5)


def test_dropped_words() -> None:
    ids = reports(50)
    chance = torch.rand(ids.shape, generator=torch.Generator().manual_seed(0))
    shown = dropped(ids, 0.4, chance)
    assert torch.equal(dropped(ids, 0.0, chance), ids)
    assert (shown[:, 0] == START).all()
    share = ((shown != ids) & (ids != PAD)).float().sum() / (ids[:, 1:] != PAD).sum()
    assert 0.3 < float(share) < 0.5
    assert (shown[shown != ids] == PAD).all()


def test_refusals() -> None:
    with pytest.raises(ValueError, match="17 tokens"):
        codec().posterior(torch.ones(1, 17, dtype=torch.long))
    with pytest.raises(ValueError, match="no report"):
        codec().calibrate([])
    with pytest.raises(UsageError, match="16 tokens do not divide into 5 cells"):
        ReportCodecConfig(max_tokens=16, length=5)
