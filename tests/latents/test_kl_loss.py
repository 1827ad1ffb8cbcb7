"""A codec and its critic learn side by side, and neither feels the other's loss."""

import torch

from medgen.latents.companding import Companding
from medgen.latents.kl import KLCodec, KLCodecConfig
from medgen.latents.kl_loss import SMALL, CodecTraining, KLLossConfig
from medgen.latents.posterior import sampled

IMAGE = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1
NOISE = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(4))

LOSS = KLLossConfig(adversarial=0.0)


def training(**config: float) -> CodecTraining:
    torch.manual_seed(0)
    codec = KLCodec(KLCodecConfig(2, 4, (16, 16), norm_groups=4))
    return CodecTraining(codec, KLLossConfig(**{"adversarial_from": 0, **config}))  # type: ignore[arg-type]


def has_gradient(module: torch.nn.Module) -> bool:
    return any(one.grad is not None and bool(one.grad.any()) for one in module.parameters())


def test_the_critic_does_not_move_the_codec() -> None:
    trained = training()
    made = trained.codec.rebuild(trained.codec.posterior(IMAGE).mean)
    trained.doubts(IMAGE, made).backward()
    assert has_gradient(trained.critic)
    assert not has_gradient(trained.codec)


def test_the_codec_does_not_move_the_critic() -> None:
    trained = training()
    made = trained.codec.rebuild(trained.codec.posterior(IMAGE).mean)
    trained.fooled(made).backward()
    assert has_gradient(trained.codec)
    assert not has_gradient(trained.critic)


def test_the_critic_waits_for_its_step() -> None:
    trained = training(adversarial_from=2)
    doubts = [float(trained(IMAGE, NOISE)["critic"]) for _ in range(4)]
    assert doubts[:2] == [0, 0]
    assert min(doubts[2:]) > 0


def test_the_total_is_the_weighted_sum_of_its_terms() -> None:
    weights = {"divergence": 0.1, "perceptual": 0.3, "adversarial": 0.7}
    terms = training(**weights)(IMAGE, NOISE)
    expected = terms["absolute"] + SMALL * terms["critic"]
    expected = expected + 0.1 * terms["divergence"] + 0.3 * terms["perceptual"]
    torch.testing.assert_close(terms["total"], expected + 0.7 * terms["fooled"])


def test_the_decoder_bears_errors_of_the_latents_own_scale() -> None:
    trained = training(latent_noise=0.5)
    codec = trained.codec
    codec.scale.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1))
    wrong = sampled(codec.posterior(IMAGE), NOISE) + 0.5 * codec.scale * NOISE
    expected = (codec.rebuild(wrong) - IMAGE).abs().mean()
    torch.testing.assert_close(trained(IMAGE, NOISE)["absolute"], expected.detach())


def test_images_are_compared_as_the_codec_sees_them() -> None:
    torch.manual_seed(0)
    bend = Companding((-2.0, 2.0), (3.0,))
    plain, bent = (
        CodecTraining(KLCodec(KLCodecConfig(2, 4, (16, 16), norm_groups=4, companding=each)), LOSS)
        for each in (Companding(), bend)
    )
    bent.codec.load_state_dict(plain.codec.state_dict())
    seen = bend.compress(IMAGE)
    expected = plain(seen, NOISE)["absolute"]
    torch.testing.assert_close(bent(IMAGE, NOISE)["absolute"], expected)


def test_it_learns() -> None:
    trained = training(adversarial=0.0)
    optimizer = torch.optim.Adam(trained.codec.parameters(), 3e-3)
    errors = []
    for _ in range(40):
        terms = trained(IMAGE * 0 + IMAGE[:1, :, ::8, ::8].repeat(2, 1, 8, 8), NOISE)
        optimizer.zero_grad()
        terms["total"].backward()
        optimizer.step()
        errors.append(float(terms["absolute"]))
    assert errors[-1] < 0.5 * errors[0]
