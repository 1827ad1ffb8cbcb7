"""An item's noise is its own, whatever batch or process it is in."""

import torch

from medgen.diffusion.noise import draw_noise, generator_for, generators_for, noise_for


def test_an_item_has_the_same_noise_alone_and_in_a_batch_of_four():
    batch = noise_for(7, range(4), (3, 5, 6, 7))
    for index in range(4):
        assert torch.equal(noise_for(7, [index], (3, 5, 6, 7))[0], batch[index])


def test_later_draws_are_independent_of_the_batch_too():
    together, alone = generators_for(7, [0, 1, 2]), generators_for(7, [1])
    for _ in range(3):
        assert torch.equal(draw_noise(together, (2, 9))[1], draw_noise(alone, (2, 9))[0])


def test_neighbours_and_seeds_have_different_noise():
    noises = torch.cat([noise_for(seed, range(3), (1000,)) for seed in range(3)])
    correlation = noises.corrcoef() - torch.eye(9)
    assert float(correlation.abs().max()) < 0.15


def test_seed_and_index_are_not_confused():
    assert generator_for(1, 23).initial_seed() != generator_for(12, 3).initial_seed()


def test_it_is_unit_gaussian():
    noise = noise_for(0, [0, 1], (50_000,))
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02


def test_every_process_and_every_year_draws_the_same():
    assert generator_for(7, 3).initial_seed() == 5209940385152062293
