"""MRI protocols: how tissue becomes signal, by the textbook equations.

All times are in ms and angles in degrees. The equations are those of Bernstein, King & Zhou 2004,
Handbook of MRI Pulse Sequences, chapter 14.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from medgen.modality import Contrast
from medgen.phantom.canvas import one_of
from medgen.phantom.field import chance, uniform
from medgen.phantom.tissue import MARROWS, Tissue, column, of_each_tissue

Signal = Float[Tensor, "tissues"]


class Readout(StrEnum):
    """The families of pulse sequences that the phantom knows."""

    SPIN_ECHO = "spin-echo"
    INVERSION_RECOVERY = "inversion-recovery"
    GRADIENT_ECHO = "gradient-echo"
    MPRAGE = "mprage"


@dataclass(frozen=True)
class Relaxation:
    """Proton density and relaxation times of every tissue, ms."""

    density: Signal
    t1: Signal
    t2: Signal
    t2_star: Signal

    @classmethod
    def textbook(cls) -> "Relaxation":
        """The values of `tissue.FACTS`."""
        return cls(column("density"), column("t1_ms"), column("t2_ms"), column("t2_star_ms"))

    def varied(self, generator: Generator) -> "Relaxation":
        """Another patient, field strength and temperature: each value times exp(0.1·normal)."""
        factors = torch.exp(0.1 * of_each_tissue(3, generator))
        return Relaxation(
            self.density * (1 + 0.5 * (factors[0] - 1)),
            self.t1 * factors[1],
            self.t2 * factors[2],
            self.t2_star * factors[2],
        )

    def with_yellow_marrow(self) -> "Relaxation":
        """The same patient, had all of the red marrow become fat.

        T2* stays short: the trabeculae are still there.
        """
        bones = one_of(torch.arange(len(self.density)), MARROWS)

        def of(values: Signal) -> Signal:
            return torch.where(bones, values[Tissue.FAT], values)

        return Relaxation(of(self.density), of(self.t1), of(self.t2), self.t2_star)


@dataclass(frozen=True)
class Protocol:
    """One MRI acquisition.

    Attributes:
        readout: Family of pulse sequence.
        repetition_time: TR, ms.
        echo_time: TE, ms.
        inversion_time: TI, ms; used by inversion recovery and MPRAGE.
        flip_angle: Degrees; used by gradient echo and MPRAGE.
        fat_share: What fat saturation leaves of fat's signal; 1 is no saturation.
    """

    readout: Readout
    repetition_time: float
    echo_time: float
    inversion_time: float = 0.0
    flip_angle: float = 90.0
    fat_share: float = 1.0

    def signal(self, tissue: Relaxation) -> Signal:
        """Magnitude signal of every tissue, relative to fully relaxed water.

        Example:
            >>> t1w = Protocol(Readout.SPIN_ECHO, 500, 10).signal(Relaxation.textbook())
            >>> from medgen.phantom.tissue import Tissue
            >>> bool(t1w[Tissue.WHITE_MATTER] > t1w[Tissue.GREY_MATTER] > t1w[Tissue.CSF])
            True
        """
        match self.readout:
            case Readout.SPIN_ECHO:
                return spin_echo(tissue, self.repetition_time, self.echo_time)
            case Readout.INVERSION_RECOVERY:
                return inversion_recovery(
                    tissue, self.repetition_time, self.echo_time, self.inversion_time
                )
            case Readout.GRADIENT_ECHO:
                return gradient_echo(tissue, self.repetition_time, self.echo_time, self.flip_angle)
            case Readout.MPRAGE:
                return mprage(
                    tissue,
                    self.repetition_time,
                    self.echo_time,
                    self.inversion_time,
                    self.flip_angle,
                )


def spin_echo(tissue: Relaxation, repetition_time: float, echo_time: float) -> Signal:
    """S = ρ (1 - exp(-TR/T1)) exp(-TE/T2), for TE well below TR."""
    recovered = 1 - torch.exp(-repetition_time / tissue.t1)
    return tissue.density * recovered * torch.exp(-echo_time / tissue.t2)


def inversion_recovery(
    tissue: Relaxation, repetition_time: float, echo_time: float, inversion_time: float
) -> Signal:
    """S = ρ |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2); FLAIR when TI nulls CSF."""
    recovered = (
        1 - 2 * torch.exp(-inversion_time / tissue.t1) + torch.exp(-repetition_time / tissue.t1)
    )
    return tissue.density * recovered.abs() * torch.exp(-echo_time / tissue.t2)


def gradient_echo(
    tissue: Relaxation, repetition_time: float, echo_time: float, flip_angle: float
) -> Signal:
    """S = ρ sin α (1 - E1) / (1 - E1 cos α) exp(-TE/T2*): the spoiled gradient echo."""
    angle, decay = math.radians(flip_angle), torch.exp(-repetition_time / tissue.t1)
    steady = math.sin(angle) * (1 - decay) / (1 - decay * math.cos(angle))
    return tissue.density * steady * torch.exp(-echo_time / tissue.t2_star)


def mprage(
    tissue: Relaxation,
    repetition_time: float,
    echo_time: float,
    inversion_time: float,
    flip_angle: float,
) -> Signal:
    """S = ρ sin α |1 - 2 exp(-TI/T1) / (1 + exp(-TR/T1))| exp(-TE/T2*).

    The steady state of repeated perfect inversions; the small flip angles of the readout train
    are taken to leave the recovery alone.
    """
    recovering = 2 * torch.exp(-inversion_time / tissue.t1)
    recovered = 1 - recovering / (1 + torch.exp(-repetition_time / tissue.t1))
    readout = math.sin(math.radians(flip_angle)) * torch.exp(-echo_time / tissue.t2_star)
    return tissue.density * recovered.abs() * readout


TYPICAL = {
    Contrast.T1: Protocol(Readout.MPRAGE, 2300, 3, inversion_time=900, flip_angle=9),
    Contrast.T2: Protocol(Readout.SPIN_ECHO, 5000, 100),
    Contrast.FLAIR: Protocol(Readout.INVERSION_RECOVERY, 9000, 120, inversion_time=2500),
    Contrast.PD: Protocol(Readout.SPIN_ECHO, 3000, 15),
}
"""One usual protocol for each contrast."""


def random_protocol(contrast: Contrast | None, generator: Generator) -> Protocol:
    """A protocol that a radiographer could have chosen.

    Args:
        contrast: The weighting; None is any protocol, also those between the usual weightings.
        generator: Source of the choices.
    """
    fat = uniform(0, 0.3, generator) if chance(0.15, generator) else 1.0
    match contrast:
        case Contrast.T1:
            return _random_t1(fat, generator)
        case Contrast.T2:
            times = uniform(3000, 8000, generator), uniform(75, 125, generator)
            return Protocol(Readout.SPIN_ECHO, *times, fat_share=fat)
        case Contrast.PD:
            times = uniform(2000, 5000, generator), uniform(8, 35, generator)
            return Protocol(Readout.SPIN_ECHO, *times, fat_share=fat)
        case Contrast.FLAIR:
            times = uniform(8000, 11000, generator), uniform(85, 140, generator)
            inversion = uniform(2200, 2700, generator)
            return Protocol(
                Readout.INVERSION_RECOVERY, *times, inversion_time=inversion, fat_share=fat
            )
        case None:
            return _random_any(fat, generator)


def _random_t1(fat: float, generator: Generator) -> Protocol:
    which = uniform(0, 1, generator)
    if which < 0.4:
        times = uniform(1700, 2600, generator), uniform(2, 5, generator)
        inversion, flip = uniform(750, 1150, generator), uniform(7, 12, generator)
        return Protocol(Readout.MPRAGE, *times, inversion, flip, fat)
    if which < 0.75:
        times = uniform(350, 750, generator), uniform(8, 20, generator)
        return Protocol(Readout.SPIN_ECHO, *times, fat_share=fat)
    times = uniform(10, 40, generator), uniform(2, 8, generator)
    return Protocol(
        Readout.GRADIENT_ECHO, *times, flip_angle=uniform(20, 45, generator), fat_share=fat
    )


def _random_any(fat: float, generator: Generator) -> Protocol:
    which = uniform(0, 1, generator)
    if which < 0.5:
        repetition = 300 * (8000 / 300) ** uniform(0, 1, generator)
        echo = 8 * (130 / 8) ** uniform(0, 1, generator)
        return Protocol(Readout.SPIN_ECHO, repetition, echo, fat_share=fat)
    if which < 0.75:
        inversion = uniform(150, 2700, generator)
        repetition = inversion + uniform(1000, 7000, generator)
        echo = uniform(8, 130, generator)
        return Protocol(
            Readout.INVERSION_RECOVERY, repetition, echo, inversion_time=inversion, fat_share=fat
        )
    repetition = 8 * (600 / 8) ** uniform(0, 1, generator)
    times = repetition, min(uniform(2, 25, generator), 0.8 * repetition)
    return Protocol(
        Readout.GRADIENT_ECHO, *times, flip_angle=uniform(5, 60, generator), fat_share=fat
    )
