"""What was padded and cropped again is what was given."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medgen.latents.codec import check_divides, crop_to, pad_to


@given(space=st.lists(st.integers(1, 9), min_size=2, max_size=3), stride=st.integers(1, 8))
def test_crop_undoes_pad(space, stride):
    image = torch.randn(1, 2, *space)
    padded = pad_to(image, stride)
    assert all(size % stride == 0 for size in padded.shape[2:])
    assert all(big - size < stride for big, size in zip(padded.shape[2:], space, strict=True))
    assert torch.equal(crop_to(padded, tuple(space)), image)


def test_the_far_edge_is_repeated():
    padded = pad_to(torch.tensor([[[[1.0, 2.0]]]]), 4)
    assert torch.equal(padded[0, 0, 3], torch.tensor([1.0, 2.0, 2.0, 2.0]))


def test_a_size_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="pad_to"):
        check_divides(torch.zeros(1, 1, 4, 6), 4)
