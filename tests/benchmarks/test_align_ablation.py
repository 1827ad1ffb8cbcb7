"""Every variant starts from the same place, and keeps the convolutions."""

import torch

from benchmarks.align_ablation import IMAGES, VARIANTS, with_new_readers
from medgen.tasks.aligning.model import EncodersConfig, new_aligner


def test_readers_begin_anew_and_convolutions_stay() -> None:
    torch.manual_seed(7)
    aligner = new_aligner(EncodersConfig())
    before = {name: weights.clone() for name, weights in aligner.state_dict().items()}
    one = {k: v.clone() for k, v in with_new_readers(aligner, 0).state_dict().items()}
    again = with_new_readers(aligner, 0).state_dict()
    for name, weights in one.items():
        assert torch.equal(weights, again[name])
        is_new = any(name.startswith(f"encoders.{image}.reader.pool") for image in IMAGES)
        if is_new and weights.any():
            assert not torch.equal(weights, before[name])
        if ".levels." in name or name.startswith("encoders.text."):
            assert torch.equal(weights, before[name])


def test_variants_differ_in_one_thing() -> None:
    basis, *others = VARIANTS.values()
    assert basis.invariant == 0
    assert basis.pairs == "hub"
    assert len({(each.invariant, each.diag_weight, each.pairs) for each in others}) == 3
    assert {each.fit for each in others} == {basis.fit}
