"""Raw references are the latents themselves, each where its role has its channels."""

import pytest
import torch

from medgen.diffusion.conditioner import ConditionerConfig
from medgen.instruct.instruction import Role
from medgen.instruct.reader import ROLES
from medgen.modality import Modality
from medgen.tasks.flows.conditions import Told
from medgen.tasks.flows.flow import Flow, FlowConfig, base_flow, unfolded
from medgen.tasks.instructing.model import ReaderShape, new_reader
from medgen.tasks.instructing.read import Shown, read_shown
from medgen.tasks.instructing.slots import slot_channels, slot_stride, slotted

SMALL = FlowConfig(
    channels=3,
    grid=(6, 8),
    patch=1,
    widths=(32, 32),
    heads=2,
    conditioner=ConditionerConfig(width=8, length=2, layers=1, heads=2),
)
SHAPE = ReaderShape(width=16, layers=1, heads=2, raw=True)


def latent(seed: int) -> torch.Tensor:
    return torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(seed))


def untold(caption: str) -> Told:
    raise AssertionError(f"raw references have no captions: {caption}")


def by_role(slots: torch.Tensor) -> dict[Role, torch.Tensor]:
    return dict(zip(ROLES, slots.chunk(len(ROLES), dim=1), strict=True))


def test_a_slot_holds_its_latent_and_says_so() -> None:
    look, one, two = latent(0), latent(1), latent(2)
    slots = slotted([one, look, two], [Role.CONTEXT, Role.LOOK, Role.CONTEXT], SMALL)
    assert slots.shape == (1, slot_channels(SMALL), 3, 4)
    found = by_role(slots)
    assert torch.equal(unfolded(found[Role.LOOK][:, :-1], slot_stride(SMALL))[0], look)
    mean = unfolded(found[Role.CONTEXT][:, :-1], slot_stride(SMALL))[0]
    torch.testing.assert_close(mean, (one + two) / 2)
    assert not found[Role.ANATOMY].any()
    filled = {role for role, slot in found.items() if bool(slot[:, -1].all())}
    assert filled == {Role.LOOK, Role.CONTEXT}


def test_a_grid_that_cannot_be_halved_is_padded_as_the_flow_does() -> None:
    odd = FlowConfig(**{**vars(SMALL), "grid": (5, 7)})
    slots = slotted([latent(0)[:, :5, :7]], [Role.LOOK], odd)
    (look,) = (unfolded(by_role(slots)[role][:, :-1], 2)[0] for role in [Role.LOOK])
    assert torch.equal(look[:, :5, :7], latent(0)[:, :5, :7])
    assert torch.equal(look[:, 5], look[:, 4])


@torch.no_grad()
def test_untrained_it_changes_nothing_and_never_what_has_no_references() -> None:
    torch.manual_seed(0)
    flow, noisy, time = Flow(SMALL).eval(), torch.randn(2, 3, 6, 8), torch.tensor([0.5])
    torch.nn.init.normal_(flow.unet.unet.out[-1].conv.weight)  # it begins at zero
    context = torch.randn(2, 2, 8)
    reader = new_reader(flow, SHAPE, ()).eval()
    plain = flow.predict(noisy, time, context)
    read = read_shown(flow, reader, [[Shown(latent(0), Role.LOOK)], []], untold)
    with reader.attached(flow.unet, read):
        assert torch.equal(flow.predict(noisy, time, context), plain)
    torch.nn.init.normal_(reader.answer.weight)
    with reader.attached(flow.unet, read):
        changed = flow.predict(noisy, time, context)
    assert torch.equal(changed[1], plain[1])
    assert not torch.allclose(changed[0], plain[0], atol=1e-3)


@torch.no_grad()
def test_swapping_two_references_is_another_input() -> None:
    torch.manual_seed(0)
    flow = Flow(SMALL).eval()
    reader = new_reader(flow, SHAPE, ()).eval()
    roles = Role.LOOK, Role.ANATOMY
    there, back = (
        read_shown(flow, reader, [[*map(Shown, map(latent, of), roles)]], untold).tokens
        for of in ((0, 1), (1, 0))
    )
    assert (there - back).abs().max() > 0.1


@pytest.mark.parametrize("modality", [Modality.XRAY, Modality.CT])
def test_it_is_no_smaller_than_what_it_is_compared_with(modality: Modality) -> None:
    with torch.device("meta"):
        flow = Flow(base_flow(modality))
        sizes = [
            sum(one.numel() for one in new_reader(flow, ReaderShape(raw=raw), ()).parameters())
            for raw in (False, True)
        ]
    assert 1 <= sizes[1] / sizes[0] < 1.7, sizes
