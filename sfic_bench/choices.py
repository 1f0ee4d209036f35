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


class OnUnsupported(StrEnum):
    """What happens to an operation that has no meaning on a pair, see `sfic_bench.to_sfic`."""

    ERROR = "error"
    JOIN = "join"
    KEEP = "keep"


class Kernels(StrEnum):
    """Whose code runs Stage 2 of a fused network: torch's, or that of `sfic_bench.kernels` where it can."""

    NONE = "none"
    AUTO = "auto"


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


class ThresholdRule(StrEnum):
    """How a threshold of the probability of fake is chosen on a run's validation images."""

    EER = "eer"
    FPR_5 = "fpr-5"
    FPR_1 = "fpr-1"
    YOUDEN = "youden"

    @property
    def description(self) -> str:
        """What the threshold does on the validation images."""
        return {
            ThresholdRule.EER: "misses and false alarms are equally frequent",
            ThresholdRule.FPR_5: "at most 5% of real images are called fake",
            ThresholdRule.FPR_1: "at most 1% of real images are called fake",
            ThresholdRule.YOUDEN: "TPR − FPR is largest (Youden's J)",
        }[self]


class ReportFormat(StrEnum):
    """What a report is written as: a page, or figures for another program."""

    HTML = "html"
    MARKDOWN = "markdown"
    GITHUB_ACTION = "github-action"
    GOOGLE_BENCHMARK = "google-benchmark"
    OPENMETRICS = "openmetrics"

    @property
    def is_page(self) -> bool:
        return self in (ReportFormat.HTML, ReportFormat.MARKDOWN)
