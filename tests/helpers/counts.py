"""Counting networks in two ways: layer by layer from blueprints, and by tracing what is built."""

from collections.abc import Iterable

from sfic_bench.choices import OnUnsupported
from sfic_bench.convert import fuse, graph_of, parity, set_beta, to_sfic
from sfic_bench.counting import Cost, count
from sfic_bench.networks import registry
from sfic_bench.networks.sfic_counts import KeptLayers, SficForms

KEPT = KeptLayers()
"""What all examples find out about layers, as in a count of many networks."""


def everything(cost: Cost) -> object:
    """All that a cost says, with the parameters in one order."""
    weights = sorted(map(repr, cost.weights))
    totals = {name: (total.macs, total.terms, total.unsupported) for name, total in cost.totals.items()}
    return cost.input_size, cost.output, list(map(repr, cost.ops)), weights, cost.layers("thop"), totals


def check_counts(name: str, alphas: Iterable[float], betas: Iterable[float], size: int) -> None:
    """Both ways must give the same for the SFIC forms of ``name`` and for their fused forms."""
    graph = graph_of(registry.build(name, input_size=size, device="meta").eval(), size)
    shape, forms = (1, 3, size, size), SficForms(graph, KEPT)
    for alpha in alphas:
        counts = forms.counts(alpha, OnUnsupported.JOIN)
        network = to_sfic(graph, alpha=alpha, beta=1.0, share=True)
        assert counts.parity == parity(graph, network)
        for beta in betas:
            set_beta(network, beta)
            fused = fuse(network, for_training=True, share=True)
            assert everything(counts.count(shape, beta)) == everything(count(network, shape))
            assert everything(counts.count_fused(shape, beta)) == everything(count(fused, shape))
