"""The U-Net answers item by item, on any grid, and every attention layer has a name."""

import pytest
import torch

from medgen.diffusion.padding import crop_to_grid, pad_to_multiple
from medgen.diffusion.unet import UNet, UNetConfig, attention_layers
from medgen.errors import UsageError

TINY = {"widths": (8, 16), "attention": (False, True), "heads": 2, "norm_groups": 4}


def tiny(**changes):
    """A network in which nothing is zero any more, as MONAI makes most last layers."""
    torch.manual_seed(0)
    network = UNet(UNetConfig(**{**TINY, "in_channels": 3, "out_channels": 2, **changes}))
    for weight in network.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.1)
    return network.eval()


@pytest.mark.parametrize("dims", [2, 3])
@torch.no_grad()
def test_a_batch_is_its_items(dims):
    network = tiny(spatial_dims=dims)
    latent, time = torch.randn(3, 3, *(8,) * dims), torch.tensor([0.1, 0.5, 1.0])
    together = network(latent, time)
    alone = [network(latent[i : i + 1], time[i : i + 1]) for i in range(3)]
    assert together.shape == (3, 2, *(8,) * dims)
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_one_time_serves_the_whole_batch():
    network, latent = tiny(), torch.randn(2, 3, 4, 4, 4)
    one, each = network(latent, torch.tensor([0.3])), network(latent, torch.full((2,), 0.3))
    torch.testing.assert_close(one, each)
    assert not torch.allclose(one, network(latent, torch.tensor([0.4])))


@torch.no_grad()
def test_other_grids_are_padded_and_cropped():
    network, latent, time = tiny(), torch.randn(1, 3, 5, 4, 7), torch.tensor([0.5])
    answer = network(latent, time)
    padded = pad_to_multiple(latent, 2)
    assert padded.shape[2:] == (6, 4, 8)
    assert torch.equal(answer, crop_to_grid(network(padded, time), latent.shape[2:]))


def test_a_grid_that_divides_is_not_copied():
    latent = torch.randn(1, 3, 4, 8)
    assert pad_to_multiple(latent, 4) is latent


def test_an_untrained_network_says_nothing():
    network = UNet(UNetConfig(**TINY))
    assert not network(torch.randn(1, 8, 4, 4, 4), torch.tensor([1.0])).any()


@torch.no_grad()
def test_context_and_label_are_heard():
    network = tiny(context_width=6, num_labels=4)
    latent, time = torch.randn(1, 3, 4, 4, 4), torch.tensor([0.5])
    context, label = torch.randn(1, 5, 6), torch.tensor([1])
    answer = network(latent, time, context, label)
    assert not torch.allclose(answer, network(latent, time, context, label + 1))
    assert not torch.allclose(answer, network(latent, time, context + 1, label))


def test_missing_and_unasked_conditions_are_refused():
    latent, time = torch.zeros(1, 3, 4, 4, 4), torch.tensor([0.5])
    with pytest.raises(ValueError, match="needs a context"):
        tiny(context_width=6)(latent, time)
    with pytest.raises(ValueError, match="needs a label"):
        tiny(num_labels=2)(latent, time)
    with pytest.raises(ValueError, match="without context"):
        tiny()(latent, time, torch.zeros(1, 5, 6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention": (True,)}, "levels"),
        ({"norm_groups": 5}, "groups"),
        ({"heads": 3}, "heads"),
        ({"spatial_dims": 1}, "2 or 3"),
    ],
)
def test_sizes_that_contradict_are_refused(changes, message):
    with pytest.raises((UsageError, ValueError), match=message):
        UNetConfig(**{**TINY, **changes})


def test_every_attention_layer_is_on_the_map():
    plain, crossed = attention_layers(tiny()), attention_layers(tiny(context_width=6))
    assert [name.rsplit(".", 1)[1] for name in plain] == ["attn"] * 4  # down, middle, up, up
    assert [name.rsplit(".", 1)[1] for name in crossed] == ["attn1", "attn2"] * 4


@torch.no_grad()
def test_a_layer_on_the_map_is_run_once_for_every_answer():
    network, calls = tiny(context_width=6), []
    for name, layer in attention_layers(network).items():
        layer.register_forward_hook(lambda *_, name=name: calls.append(name))
    network(torch.randn(1, 3, 4, 4, 4), torch.tensor([0.5]), torch.randn(1, 5, 6))
    assert sorted(calls) == sorted(attention_layers(network))


def test_the_usual_size_is_what_was_measured():
    network = UNet(UNetConfig(in_channels=16, context_width=64))
    assert sum(weight.numel() for weight in network.parameters()) == 5_400_712


@torch.no_grad()
def test_a_summary_reaches_every_block_and_only_its_own_item():
    network = tiny(spatial_dims=2, context_width=6, is_summarised=True)
    for layer in attention_layers(network).values():  # deaf to the context itself
        for name, weight in layer.named_parameters():
            if name.startswith(("to_k", "to_v")) and weight.shape[-1] == 6:
                weight.zero_()
    latent, time = torch.randn(2, 3, 8, 8), torch.tensor([0.5])
    context = torch.randn(2, 4, 6)
    answer = network(latent, time, context)
    changed = network(latent, time, torch.cat([context[:1], context[1:] + 1]))
    torch.testing.assert_close(changed[0], answer[0])
    assert not torch.allclose(changed[1], answer[1], atol=1e-3)


def test_a_summary_is_of_a_context():
    with pytest.raises(ValueError, match="summarised with a context and without labels"):
        UNetConfig(is_summarised=True)
    with pytest.raises(ValueError, match="summarised with a context and without labels"):
        UNetConfig(is_summarised=True, context_width=6, num_labels=3)
