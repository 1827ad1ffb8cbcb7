"""Haar bands are the image itself, turned: nothing lost, nothing added."""

import pytest
import torch

from medgen.latents.haar import HaarCodec

SIZES = [(6, 8), (4, 6, 8)]


def unit(dims, offset=0.0):
    return HaarCodec(offset=offset, latent_scale=1.0, spatial_dims=dims)


@pytest.mark.parametrize("space", SIZES)
def test_decode_inverts_encode(space):
    codec = HaarCodec(offset=-0.8, latent_scale=0.37, spatial_dims=len(space))
    image = torch.rand(2, 3, *space) * 2 - 1
    latent = codec.encode(image)
    assert latent.shape == (2, 3 * codec.channels, *(size // codec.stride for size in space))
    torch.testing.assert_close(codec.decode(latent), image, atol=1e-6, rtol=0)


@pytest.mark.parametrize("space", SIZES)
def test_encode_inverts_decode(space):
    codec = HaarCodec(offset=0.2, latent_scale=2.0, spatial_dims=len(space))
    latent = torch.randn(2, codec.channels, *space)
    torch.testing.assert_close(codec.encode(codec.decode(latent)), latent, atol=1e-6, rtol=0)


@pytest.mark.parametrize("space", SIZES)
def test_energy_is_preserved(space):
    image = torch.randn(1, 1, *space)
    latent = unit(len(space)).encode(image)
    torch.testing.assert_close(latent.square().sum(), image.square().sum())


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_constant_lives_in_the_first_band_only(dims):
    latent = unit(dims).encode(torch.full((1, 1, *(4,) * dims), 0.5))
    torch.testing.assert_close(latent[:, 0], torch.full_like(latent[:, 0], 0.5 * 2 ** (dims / 2)))
    assert not latent[:, 1:].any()


@pytest.mark.parametrize(("axis", "band"), [(0, 4), (1, 2), (2, 1)])
def test_a_stripe_lives_in_the_band_of_its_axis(axis, band):
    stripes = torch.ones(1, 1, 4, 4, 4)
    stripes.select(2 + axis, 1).neg_()
    stripes.select(2 + axis, 3).neg_()
    latent = unit(3).encode(stripes)
    assert torch.equal(latent.flatten(2).abs().sum(-1).nonzero()[:, 1], torch.tensor([band]))
    assert (latent[:, band] > 0).all()


def test_offset_and_scale_are_where_the_docstring_says():
    image = torch.randn(1, 1, 4, 4, 4)
    latent = HaarCodec(offset=0.3, latent_scale=5.0).encode(image)
    torch.testing.assert_close(latent, unit(3).encode(image - 0.3) / 5)


def test_each_channel_has_its_own_bands():
    image = torch.randn(1, 2, 4, 4, 4)
    latent = unit(3).encode(image)
    torch.testing.assert_close(latent[:, 8:], unit(3).encode(image[:, 1:]))


def test_hounsfield_units_survive_even_under_autocast():
    hu = torch.randint(-1024, 3072, (1, 1, 16, 16, 16)).float()
    codec = HaarCodec(offset=-1.0, latent_scale=0.6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image = codec.decode(codec.encode((hu + 1024) / 4095 * 2 - 1))
    assert float(((image + 1) / 2 * 4095 - 1024 - hu).abs().max()) < 0.01  # nothing but rounding


def test_input_is_left_alone():
    image, latent = torch.randn(1, 1, 4, 4, 4), torch.randn(1, 8, 2, 2, 2)
    kept = image.clone(), latent.clone()
    codec = HaarCodec(offset=1.0, latent_scale=2.0)
    codec.encode(image), codec.decode(latent)
    assert torch.equal(image, kept[0])
    assert torch.equal(latent, kept[1])


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="pad_to"):
        unit(3).encode(torch.zeros(1, 1, 4, 5, 4))
    with pytest.raises(ValueError, match="spatial axes"):
        unit(2).encode(torch.zeros(1, 1, 4, 4, 4))
    with pytest.raises(ValueError, match="positive"):
        HaarCodec(latent_scale=0.0)
