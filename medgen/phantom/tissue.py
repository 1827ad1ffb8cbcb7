"""What each tissue is to a CT scanner and to an MRI scanner."""

from dataclasses import dataclass
from enum import IntEnum

import torch
from jaxtyping import Float
from torch import Generator, Tensor


class Tissue(IntEnum):
    """Tissue classes of the simulated body; `SOFT` and `SCALP` are mixtures of fat and muscle."""

    AIR = 0
    SCALP = 1
    SOFT = 2
    MUCOSA = 3
    CORTICAL_BONE = 4
    MARROW = 5
    CSF = 6
    GREY_MATTER = 7
    WHITE_MATTER = 8
    VESSEL = 9
    EYE = 10
    FAT = 11
    MUSCLE = 12
    CALCIFICATION = 13
    LUNG = 14
    BLOOD = 15
    HEART = 16
    LIVER = 17
    SPLEEN = 18
    KIDNEY = 19
    SPONGY_BONE = 20
    CARTILAGE = 21
    FLUID = 22
    CONSOLIDATION = 23
    COLLAPSED_LUNG = 24
    TUMOUR = 25
    METAL = 26
    OEDEMA = 27
    HAEMATOMA = 28
    SKIN = 29


FIRST_OF_THORAX = 14  # the tissues before this one are all that a healthy head is made of
FIRST_OF_LIMBS = 29  # and those before this one what chests and disease add
MIXTURES = (Tissue.SCALP, Tissue.SOFT)
MARROWS = (Tissue.MARROW, Tissue.SPONGY_BONE)  # red, and fat where it has become yellow


@dataclass(frozen=True)
class TissueFacts:
    """Physical constants of a tissue.

    Attributes:
        hu: Mean CT number of the tissue, HU.
        hu_between: Standard deviation of that mean between patients, HU.
        hu_texture: Standard deviation within one patient, HU.
        density: Proton density relative to water.
        t1_ms: Longitudinal relaxation time at 1.5 to 3 T, ms.
        t2_ms: Transverse relaxation time, ms.
        t2_star_ms: Effective transverse relaxation time of a gradient echo, ms.
        uptake: Contrast agent in it, relative to the blood, about a minute after the injection.
    """

    hu: float
    hu_between: float
    hu_texture: float
    density: float
    t1_ms: float
    t2_ms: float
    t2_star_ms: float
    uptake: float = 0.0


# Relaxation times are rounded between the 1.5 T and 3 T values of Stanisz et al. 2005
# (10.1002/mrm.20605) for brain, muscle and blood, and of de Bazelaire et al. 2004
# (10.1148/radiol.2303021331) for fat and marrow; fat's T2 is the longer one of fast spin echo.
# Cortical bone: Du et al. 2010 (ultrashort T2). HU: Bushberg et al., The Essential Physics of
# Medical Imaging, table of CT numbers; diploe and cortical bone of the skull from Delye et al.
# 2015, who find 400 to 800 and 900 to 1500 HU. Liver, spleen, kidney, heart, spongy bone of the
# spine and cartilage: de Bazelaire et al. and Stanisz et al. as above; their HU, and the agent's
# uptake in the portal venous phase, from Bae 2010 (10.1148/radiol.10090908). Lung: 20 to 30 %
# tissue at the full breath of a CT; T2* 1 to 2 ms, Hatabu et al. 1999 (10.1002/mrm.1910420121).
# Fresh blood: 50 to 80 HU, Parizel et al. 2001 (10.1007/s003300000800). Metal is titanium. Skin is
# dark in every sequence, Aubry et al. 2011 (10.1016/j.ejrad.2010.06.002): its T2 is the one that
# gives it, in a T1 spin echo, the seventh of fat's signal that it has in real limbs.
FACTS = {
    Tissue.AIR: TissueFacts(-1000, 0, 0, 0.0, 1000, 1, 1),
    Tissue.SCALP: TissueFacts(20, 10, 10, 0.75, 900, 40, 25),
    Tissue.SOFT: TissueFacts(55, 8, 8, 0.85, 1050, 42, 28),
    Tissue.MUCOSA: TissueFacts(40, 10, 10, 0.85, 1200, 90, 30),
    Tissue.CORTICAL_BONE: TissueFacts(1150, 120, 110, 0.15, 300, 1.5, 0.5),
    Tissue.MARROW: TissueFacts(560, 80, 80, 0.65, 350, 70, 8),
    Tissue.CSF: TissueFacts(8, 3, 3, 1.0, 4000, 1800, 800),
    Tissue.GREY_MATTER: TissueFacts(38, 2, 3, 0.85, 1350, 97, 55),
    Tissue.WHITE_MATTER: TissueFacts(29, 2, 3, 0.71, 830, 76, 50),
    Tissue.VESSEL: TissueFacts(50, 8, 6, 0.5, 1650, 120, 40),
    Tissue.EYE: TissueFacts(15, 5, 4, 1.0, 3800, 1000, 400),
    Tissue.FAT: TissueFacts(-100, 10, 10, 0.95, 290, 110, 35),
    Tissue.MUSCLE: TissueFacts(55, 8, 8, 0.85, 1050, 42, 28),
    Tissue.CALCIFICATION: TissueFacts(300, 80, 40, 0.3, 600, 20, 4),
    Tissue.LUNG: TissueFacts(-850, 35, 25, 0.2, 1200, 40, 1.5),
    Tissue.BLOOD: TissueFacts(45, 5, 3, 0.9, 1600, 180, 60, uptake=1.0),
    Tissue.HEART: TissueFacts(45, 4, 5, 0.8, 1050, 48, 30, uptake=0.5),
    Tissue.LIVER: TissueFacts(58, 8, 5, 0.75, 700, 42, 25, uptake=0.4),
    Tissue.SPLEEN: TissueFacts(48, 4, 4, 0.85, 1150, 75, 40, uptake=0.55),
    Tissue.KIDNEY: TissueFacts(32, 4, 5, 0.85, 1150, 80, 45, uptake=1.0),
    Tissue.SPONGY_BONE: TissueFacts(190, 50, 50, 0.6, 500, 60, 8),
    Tissue.CARTILAGE: TissueFacts(115, 30, 25, 0.7, 1000, 35, 15),
    Tissue.FLUID: TissueFacts(10, 6, 3, 1.0, 3200, 1200, 500),
    Tissue.CONSOLIDATION: TissueFacts(30, 8, 15, 0.8, 1300, 90, 20, uptake=0.3),
    Tissue.COLLAPSED_LUNG: TissueFacts(45, 8, 8, 0.8, 1100, 60, 20, uptake=0.7),
    Tissue.TUMOUR: TissueFacts(40, 6, 6, 0.85, 1400, 100, 50, uptake=0.3),
    Tissue.OEDEMA: TissueFacts(14, 3, 3, 0.95, 1900, 200, 120),
    Tissue.HAEMATOMA: TissueFacts(65, 7, 5, 0.85, 1100, 60, 15),
    Tissue.METAL: TissueFacts(8000, 0, 0, 0.0, 1000, 1, 0.1),
    Tissue.SKIN: TissueFacts(40, 20, 15, 0.7, 900, 12, 6),
}


def of_each_tissue(rows: int, generator: Generator) -> Float[Tensor, "rows tissues"]:
    """Unit Gaussian numbers for every tissue.

    The tissues after the head's draw from a generator that the head's numbers seed, those of limbs
    last, so heads and chests stay what they were however many tissues there are.
    """
    head = torch.randn(rows, FIRST_OF_THORAX, generator=generator)
    more = Generator().manual_seed(int(head[0, 0].view(torch.int32)) & 0x7FFFFFFF)
    thorax = torch.randn(rows, FIRST_OF_LIMBS - FIRST_OF_THORAX, generator=more)
    limbs = torch.randn(rows, len(Tissue) - FIRST_OF_LIMBS, generator=more)
    return torch.cat([head, thorax, limbs], dim=1)


def column(name: str) -> Float[Tensor, "tissues"]:
    """One constant of every tissue, in the order of `Tissue`.

    Example:
        >>> float(column("hu")[Tissue.FAT])
        -100.0
    """
    return torch.tensor([float(getattr(FACTS[tissue], name)) for tissue in Tissue])


# FreeSurfer's label numbers for the brain, muscle, fat, skin and bone that is not the skull's (its
# FreeSurferColorLUT), and the extra-cerebral labels 502 to 530 of the SynthSeg training maps
# (Billot et al. 2023, 10.1016/j.media.2023.102789).
LABELS = {
    Tissue.SCALP: (511,),
    Tissue.SOFT: (506, 507, 508),
    Tissue.MUCOSA: (509,),
    Tissue.CORTICAL_BONE: (515,),
    Tissue.MARROW: (516,),
    Tissue.CSF: (4, 5, 14, 15, 24, 43, 44, 72),
    Tissue.GREY_MATTER: (
        *(3, 42, 8, 47, 10, 49, 11, 50, 12, 51, 13, 52, 17, 53, 18, 54, 26, 58),
        *(136, 137, 163, 164),
    ),
    Tissue.WHITE_MATTER: (2, 41, 7, 46, 16, 28, 60, 77, 85, 251, 252, 253, 254, 255, 512),
    Tissue.VESSEL: (25, 30, 57, 62, 502, 514),
    Tissue.EYE: (530,),
    Tissue.FAT: (125,),
    Tissue.MUSCLE: (123,),
    Tissue.SPONGY_BONE: (129,),
    Tissue.SKIN: (118,),
}
