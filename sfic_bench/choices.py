"""Closed sets that several rooms name, from the layers to the command line. This module imports no torch."""

from enum import StrEnum


class McsMode(StrEnum):
    """Whether the kernels of MCSConv are trained, see `sfic_bench.nn.MCSConv`."""

    LEARNED = "learned"
    FROZEN = "frozen"


class Interpolation(StrEnum):
    """How pixels of a distorted image are made of those of the original."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"


class Initialisation(StrEnum):
    """How first weights are drawn, see `sfic_bench.initialisation.draw_as_released`."""

    RELEASED = "released"
    TORCH = "torch"


class TableNumber(StrEnum):
    """The paper's tables of accuracies."""

    II = "II"
    III = "III"
    IV = "IV"
    V = "V"
    VI = "VI"
    VII = "VII"
    VIII = "VIII"
    IX = "IX"
