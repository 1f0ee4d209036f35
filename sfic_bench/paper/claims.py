"""The paper's claims in words about accuracy and cost, each tested on the cells that it rests on.

A claim is a function that gives the outcome of every comparison it stands for, and the figures in words. The same
functions test a user's own results, whose intervals may leave a comparison open.

Source: Guo et al., IEEE TIFS 2024, Section IV.
"""

import math
from collections.abc import Callable
from itertools import pairwise

from sfic_bench.paper.audit import KNOWN_DIFFERENCES
from sfic_bench.paper.findings import (
    CLAIMS_IN_WORDS,
    Finding,
    baselines,
    claim,
    counted,
    differences,
    over_vanilla,
    ranged,
    sfic_networks,
    vanilla_of,
)
from sfic_bench.paper.scores import Cell, Scores, best, better, columns, select
from sfic_bench.paper.tables import cost_cells
from sfic_bench.results.claims import WordsRow
from sfic_bench.statistics.interval import Interval

RESNET26 = ("SFIC-ResNet26", 0.25, 1.0)


def audit_words(scores: Scores, source: str = "printed") -> list[WordsRow]:
    """Every claim tested on ``scores``, which come from ``source``; claims about cost are tested as printed alone."""
    rows = []
    for stated in CLAIMS_IN_WORDS:
        if stated.of_cost and source != "printed":
            continue
        finding = stated.test(scores)
        rows.append(
            WordsRow(
                place=stated.place, says=stated.says, verdict=finding.verdict, holds=finding.outcomes.count(True),
                of=len(finding.outcomes), finding=finding.words, source=source,
            )
        )  # fmt: skip
    return rows


@claim("II", "α = .25, β = .75 gains 3.22% AUC over ResNet26 (HQ)")
def _gain(scores: Scores) -> Finding:
    cell = Cell("II", "SFIC-ResNet26", 0.25, 0.75, "FF++ HQ", "FF++ HQ", "AUC")
    own, vanilla = scores.get(cell), vanilla_of(scores, cell)
    if own is None or vanilla is None:
        return Finding(outcomes=[], words="")
    gain = own.estimate - vanilla.estimate
    known = None not in (own.low, own.high, vanilla.low, vanilla.high)
    low = own.low - vanilla.high if own.low is not None and vanilla.high is not None else -math.inf
    high = own.high - vanilla.low if own.high is not None and vanilla.low is not None else math.inf
    holds = low - 0.005 <= 3.22 <= high + 0.005 if known else None
    return Finding(outcomes=[holds], words=f"{own.estimate:.2f} − {vanilla.estimate:.2f} = {gain:+.2f} points")


@claim("II", "α = .75, β = .5 is about as good as ResNet26 (LQ)")
def _similar(scores: Scores) -> Finding:
    outcomes: list[bool | None] = []
    words = []
    for metric in ("AUC", "BACC"):
        cell = Cell("II", "SFIC-ResNet26", 0.75, 0.5, "FF++ LQ", "FF++ LQ", metric)
        own, vanilla = scores.get(cell), vanilla_of(scores, cell)
        if own is not None and vanilla is not None:
            is_worse = better(vanilla, own)
            outcomes.append(None if is_worse is None else not is_worse)
            words.append(f"{metric} {vanilla.estimate:.2f} → {own.estimate:.2f}")
    return Finding(outcomes=outcomes, words="; ".join(words))


@claim("II", "with β < 1 networks need fewer FLOPs and are still better than vanilla")
def _better_with_less(scores: Scores) -> Finding:
    over = over_vanilla(scores, "II", where=lambda cell: cell.beta is not None and cell.beta < 1)
    by_network: dict[tuple[float | None, float | None], list[bool | None]] = {}
    for cell, outcome in over.items():
        by_network.setdefault((cell.alpha, cell.beta), []).append(outcome)
    winners = [f"α={a} β={b}" for (a, b), outcomes in by_network.items() if all(outcomes)]
    worse = sum(outcome is False for outcome in over.values())
    words = f"{worse} of {len(over)} cells are not above vanilla; above it in all: {', '.join(winners) or 'none'}"
    return Finding(outcomes=list(over.values()), words=words)


@claim("II", "β ≠ 1 limits the accuracy")
def _limited_by_beta(scores: Scores) -> Finding:
    series: dict[tuple[object, ...], list[tuple[float, Interval]]] = {}
    for cell, score in select(scores, "II", where=lambda cell: cell.is_sfic).items():
        assert cell.beta is not None
        series.setdefault((cell.alpha, *cell.column), []).append((cell.beta, score))
    outcomes: list[bool | None] = []
    for points in series.values():
        ordered = [score for _, score in sorted(points, key=lambda point: point[0])]
        steps = [better(second, first) for first, second in pairwise(ordered)]
        if steps:
            outcomes.append(False if False in steps else None if None in steps else True)
    return Finding(outcomes=outcomes, words=f"{counted(outcomes)} series rise with β from end to end")


@claim("II", "α adds no FLOPs", of_cost=True)
def _alpha_is_free(_: Scores) -> Finding:
    by_beta: dict[float, set[str]] = {}
    for cost in cost_cells():
        if cost.table == "II" and cost.quantity == "macs" and cost.beta is not None:
            by_beta.setdefault(cost.beta, set()).add(cost.printed.text)
    outcomes: list[bool | None] = [len(printed_costs) == 1 for printed_costs in by_beta.values()]
    free = ", ".join(f"β = {beta:g}" for beta, costs in by_beta.items() if len(costs) == 1)
    return Finding(outcomes=outcomes, words=f"one figure for all α at {free} alone")


@claim("III", "SFIC improves all baselines (significantly, it says)")
def _improves_all(scores: Scores) -> Finding:
    over = over_vanilla(scores, "III")
    words = f"{counted(over.values())} up, by {ranged(differences(scores, over))}; one seed each, and no test"
    return Finding(outcomes=list(over.values()), words=words)


def _against_baselines(
    scores: Scores, *tables: str, where: Callable[[Cell], bool] = lambda _: True
) -> tuple[list[bool | None], str]:
    """Whether an SFIC network is the best of each column, and whether each SFIC network is; with the figures."""
    some: list[bool | None] = []
    by_network: dict[tuple[str, float | None, float | None], list[bool | None]] = {}
    for column in columns(select(scores, *tables, where=where)):
        top = best(baselines(column))
        if top is None or not sfic_networks(column):
            continue
        some.append(better(best(sfic_networks(column)), top))
        for cell, score in sfic_networks(column).items():
            by_network.setdefault(cell.network, []).append(better(score, top))
    wins = sorted(sum(o is True for o in outcomes) for outcomes in by_network.values())
    words = f"the best is an SFIC network in {counted(some)} columns"
    if wins:
        words += f"; a single one beats all baselines in {wins[0]} to {wins[-1]}"
    return some + [outcome for outcomes in by_network.values() for outcome in outcomes], words


@claim("IV", "SFIC networks generalise better to DF, FF and FS")
def _generalises(scores: Scores) -> Finding:
    outcomes, words = _against_baselines(scores, "IV", where=lambda cell: not cell.test.endswith("NT"))
    beaten = [
        better(score, best(baselines(column)))
        for column in columns(select(scores, "IV"))
        for cell, score in column.items()
        if cell.network == RESNET26
    ]
    return Finding(outcomes=outcomes, words=f"{words}; SFIC-ResNet26 α = .25 in {counted(beaten)} with NT")


@claim("V", "SFIC networks are better than all others on four data sets")
def _best_within(scores: Scores) -> Finding:
    outcomes, words = _against_baselines(scores, "V")
    hff = select(scores, "V", where=lambda cell: cell.test == "HFF" and cell.metric == "AUC")
    own = next((score for cell, score in hff.items() if cell.network == RESNET26), None)
    ahead = [cell.model for cell, score in baselines(hff).items() if better(score, own)]
    if ahead:
        words += f"; on HFF {', '.join(ahead)} have a higher AUC than SFIC-ResNet26 α = .25"
    return Finding(outcomes=outcomes, words=words)


@claim("V", "all five SFIC networks beat all baselines on FF++")
def _all_five(scores: Scores) -> Finding:
    outcomes = [
        better(score, best(baselines(column)))
        for column in columns(select(scores, "V", where=lambda cell: cell.test.startswith("FF++")))
        for score in sfic_networks(column).values()
        if baselines(column)
    ]
    return Finding(outcomes=outcomes, words=f"{counted(outcomes)} networks and columns")


@claim("V", "SFIC-ResNet26 has about half of M2TR's parameters and FLOPs", of_cost=True)
def _half_of_m2tr(_: Scores) -> Finding:
    outcomes: list[bool | None] = []
    words = []
    costs = {(c.model, c.quantity): c.printed for c in cost_cells() if c.table == "V"}
    for quantity in ("params", "macs"):
        own, bound = (float(costs[model, quantity].digits) for model in ("SFIC-ResNet26", "M2TR"))
        released = KNOWN_DIFFERENCES["m2tr", quantity].counted / {"params": 1e6, "macs": 1e9}[quantity]
        outcomes += [own / bound < 0.6, own / released < 0.6]
        words.append(f"{quantity}: {own / bound:.3f} of the printed bound, {own / released:.2f} of the released M2TR")
    return Finding(outcomes=outcomes, words="; ".join(words))


LARGE, LIGHTWEIGHT = ("XceptionNet", "F3-Net", "M2TR"), ("Meso-Incep", "Multi-task", "AMTENnet")
"""The baselines that the paper calls large and lightweight."""


@claim("V", "SFIC networks are smaller than the large baselines", of_cost=True)
def _smaller(_: Scores) -> Finding:
    macs = {(c.model, c.alpha, c.beta): c.printed for c in cost_cells() if c.table == "V" and c.quantity == "macs"}
    least = min(float(printed.digits) for (model, *_), printed in macs.items() if model in LARGE)
    own = {network: float(printed.digits) for network, printed in macs.items() if network[0].startswith("SFIC-")}
    outcomes: list[bool | None] = [cost < least for cost in own.values()]
    larger = sorted(cost for cost in own.values() if cost >= least)
    words = f"SFIC-VGG13 has {larger[0]:.2f} to {larger[-1]:.2f} GMac, the smallest large baseline {least:.2f}"
    return Finding(outcomes=outcomes, words=words)


@claim("V", "lightweight baselines score low")
def _lightweight_is_low(scores: Scores) -> Finding:
    outcomes: list[bool | None] = []
    ahead: list[str] = []
    for column in columns(select(scores, "V", where=lambda cell: cell.metric == "AUC")):
        by_model = {cell.model: (cell, score) for cell, score in column.items()}
        for light in LIGHTWEIGHT:
            for large in LARGE:
                if light in by_model and large in by_model:
                    (cell, one), (_, other) = by_model[light], by_model[large]
                    outcomes.append(better(other, one))
                    if (light, large) == ("Meso-Incep", "F3-Net") and better(one, other):
                        ahead.append(cell.test)
    words = f"a large baseline is ahead in {counted(outcomes)} pairs (AUC)"
    if ahead:
        words += f"; Meso-Incep is ahead of F3-Net on {', '.join(ahead)}"
    return Finding(outcomes=outcomes, words=words)


@claim("III", "SFIC makes ResNet26 insensitive to compression")
def _insensitive(scores: Scores) -> Finding:
    changes: dict[str, float] = {}
    outcomes: list[bool | None] = []
    for cell, high in select(scores, "III", where=lambda c: c.test == "FF++ HQ" and c.metric == "AUC").items():
        low = scores.get(cell._replace(train="FF++ LQ", test="FF++ LQ"))
        if low is None or "ResNet" not in cell.model:
            continue
        changes[cell.model] = low.estimate - high.estimate
        if not cell.is_sfic:  # if vanilla loses nothing either, SFIC is not what makes the difference
            outcomes.append(better(high, low))
    vanilla = ", ".join(f"{model} {c:+.2f}" for model, c in changes.items() if not model.startswith("SFIC-"))
    own = changes.get("SFIC-ResNet26")
    words = f"LQ − HQ AUC without SFIC: {vanilla or 'not measured'}"
    return Finding(outcomes=outcomes, words=words if own is None else f"{words}; SFIC-ResNet26 {own:+.2f}")


@claim("VI", "SFIC networks are significantly better across compressions")
def _across_compressions(scores: Scores) -> Finding:
    outcomes: list[bool | None] = []
    words = []
    for train, test in (("FF++ HQ", "FF++ LQ"), ("FF++ LQ", "FF++ HQ")):
        column = select(scores, "VI", where=lambda c, t=(train, test): (c.train, c.test) == t and c.metric == "AUC")  # type: ignore[misc]
        top = best(baselines(column))
        own = [better(score, top) for score in sfic_networks(column).values()] if top is not None else []
        outcomes += own
        words.append(f"{train} → {test}: {counted(own)} networks beat all baselines (AUC)")
    return Finding(outcomes=outcomes, words="; ".join(words))


@claim("VI", "SFIC networks are generally better across data sets")
def _across_data_sets(scores: Scores) -> Finding:
    outcomes, words = _against_baselines(scores, "VI")
    return Finding(outcomes=outcomes, words=words)


@claim("VII, VIII", "SFIC improves six backbones on CelebDF")
def _improves_six(scores: Scores) -> Finding:
    over = over_vanilla(scores, "VII", "VIII")
    below = sum(outcome is False for outcome in over.values())
    improved = {cell.model for cell, outcome in over.items() if outcome}
    words = (
        f"{len(improved)} backbones have a better form, the best of five by the test set; "
        f"{below} of {len(over)} cells are not above vanilla"
    )
    return Finding(outcomes=list(over.values()), words=words)


@claim("IX", "70.7 and 71.0 on CelebDF are close to most methods")
def _close_to_most(scores: Scores) -> Finding:
    column = select(scores, "IX")
    ordered = sorted(column.values(), key=lambda score: -score.estimate)
    ranks = {cell.model: 1 + ordered.index(score) for cell, score in sfic_networks(column).items()}
    if not ranks or len(ordered) == len(ranks):
        return Finding(outcomes=[], words="")
    own = max(score.estimate for score in sfic_networks(column).values())
    others = [score.estimate for score in baselines(column).values()]
    outcomes: list[bool | None] = [abs(other - own) <= 2 or other < own for other in others]
    words = ", ".join(f"{model} is {rank} of {len(ordered)}" for model, rank in ranks.items())
    return Finding(outcomes=outcomes, words=f"{words}; {max(others) - own:.1f} points below the best")
