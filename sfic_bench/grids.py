"""From names and ratios to a grid: groups of backbones, and the paper's ratios where none are given."""

from collections.abc import Sequence

from sfic_bench import backbones
from sfic_bench.spec import PAPER_ALPHAS, PAPER_BETAS, Grid, OnUnsupported


def grid_of(
    names: Sequence[str],
    alphas: Sequence[float] | None,
    betas: Sequence[float] | None,
    on_unsupported: OnUnsupported = "error",
) -> Grid:
    """The grid of ``names``, among which ``all`` and ``detectors`` are groups.

    Args:
        names: of backbones and groups.
        alphas: ``None`` for the paper's; without any, all are vanilla. Detectors have SFIC forms only where it is given:
            not each can be converted.
        betas: ``None`` for the paper's.
        on_unsupported: see `Variant`.

    Raises:
        UnknownName, InvalidValue: for a name or ratio that cannot be used, or one twice.
    """
    groups = {"all": backbones.names(), "detectors": backbones.detector_names()}
    wanted = tuple(each for name in names for each in groups.get(name, (name,)))
    for name in wanted:
        backbones.check_name(name)
    return Grid(
        backbones=wanted,
        alphas=PAPER_ALPHAS if alphas is None else tuple(alphas),
        betas=PAPER_BETAS if betas is None else tuple(betas),
        on_unsupported=on_unsupported,
        vanilla=backbones.detector_names() if alphas is None else (),
    )
