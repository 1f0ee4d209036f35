"""Writes `docs/zoo.md`: which of timm's convolutional networks convert. ``python docs/zoo.py [PATTERN…]``.

Every network of the modules below that timm lists is built and converted on the meta device, without weights, at
α = β = 0.5. With patterns such as ``convnext*``, only those are tried, and the table goes to stdout.
"""

import fnmatch
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sfic_bench.choices import OnUnsupported
from sfic_bench.convert import ConversionOptions, convert, graph_of, placement_of
from sfic_bench.errors import SficBenchError
from sfic_bench.networks import registry
from sfic_bench.networks.external import library

MODULES = (
    *("byobnet", "convmixer", "convnext", "cspnet", "densenet", "dla", "dpn", "efficientnet", "fasternet", "fastvit"),
    *("ghostnet", "hardcorenas", "hgnet", "hrnet", "inception_next", "inception_resnet_v2", "inception_v3"),
    *("inception_v4", "mambaout", "metaformer", "mobilenetv3", "mobilenetv5", "nasnet", "nfnet", "pnasnet", "rdnet"),
    *("regnet", "repghost", "repvit", "res2net", "resnest", "resnet", "resnetv2", "rexnet", "selecsls", "senet"),
    *("sknet", "starnet", "tresnet", "vgg", "vovnet", "xception", "xception_aligned"),
)
"""The modules of ``timm.models`` whose networks are made of convolutions."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one network.

    Attributes:
        share: of the convolutions' MACs, that of layers that lie on pairs; ``None`` if the network was refused.
        joined: the kinds of operations that run on joined pairs.
        seconds: CPU time of tracing and converting.
        reason: why it was refused.
    """

    module: str
    name: str
    share: float | None = None
    joined: tuple[str, ...] = ()
    seconds: float = 0.0
    reason: str = ""


def entries() -> list[tuple[str, str]]:
    """The module and the name of each network, as timm lists them."""
    timm: Any = library("timm")
    return [(module, name) for module in MODULES for name in timm.list_models(module=module)]


def outcome_of(module: str, name: str) -> Outcome:
    """Build one network on the meta device and convert it."""
    network = registry.build(f"timm:{name}", device="meta")
    begin = time.process_time()
    try:
        graph = graph_of(network)
        options = ConversionOptions(
            placement=placement_of(graph), alpha=0.5, beta=0.5, on_unsupported=OnUnsupported.JOIN, share=True
        )
        converted = convert(graph, options)
    except SficBenchError as error:
        return Outcome(module=module, name=name, seconds=time.process_time() - begin, reason=str(error))
    seconds = time.process_time() - begin
    kept = (operation.operation for operation in converted.operations if operation.role == "kept")
    joined = dict.fromkeys(operation.rpartition(".")[2] for operation in kept)
    return Outcome(module=module, name=name, share=converted.share(), joined=tuple(joined), seconds=seconds)


def page(outcomes: list[Outcome]) -> str:
    """The table of all outcomes as Markdown, with a summary in front."""
    timm: Any = library("timm")
    shares = [outcome.share for outcome in outcomes if outcome.share is not None]
    lines = [
        "# Which of timm's convolutional networks convert",
        "",
        f"`python docs/zoo.py` writes this page. It builds every network that timm {timm.__version__} lists in its "
        f"{len(MODULES)} convolutional modules and converts it at α = β = 0.5, without weights.",
        "",
        f"{len(shares)} of {len(outcomes)} networks convert ({len(shares) / len(outcomes):.1%}). Of the MACs of a "
        f"network's convolutions, and of its linear layers on maps, {median(shares or [0]):.0%} lie on pairs in the "
        f"median, and at least {min(shares, default=0):.0%}.",
        "",
        "What mixes places, such as attention, or channels of both branches runs on the joined pair at the size of S; "
        "the next convolution divides its result again. The last column names such operations.",
        "",
        "| module | network | MACs on pairs | runs on joined pairs |",
        "| --- | --- | ---: | --- |",
    ]
    for outcome in outcomes:
        share = "refused" if outcome.share is None else f"{outcome.share:.0%}"
        remark = outcome.reason.replace("|", "\\|") or ", ".join(f"`{operation}`" for operation in outcome.joined)
        lines.append(f"| {outcome.module} | {outcome.name} | {share} | {remark} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Try the networks that are asked for, and write the page."""
    patterns = sys.argv[1:]
    chosen = [e for e in entries() if not patterns or any(fnmatch.fnmatch(e[1], pattern) for pattern in patterns)]
    outcomes = []
    for module, name in chosen:
        outcomes.append(outcome_of(module, name))
        sys.stderr.write(f"\r{len(outcomes)} of {len(chosen)} {name:40}")
    sys.stderr.write("\n")
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    modules = Counter(outcome.module for outcome in outcomes if outcome.share is None)
    refused = ", ".join(f"{module} {count}" for module, count in modules.items()) or "none"
    sys.stderr.write(
        f"refused: {refused}; seconds: {median(o.seconds for o in outcomes):.2f} in the median, "
        f"{slowest.seconds:.2f} for {slowest.name}\n"
    )
    if patterns:
        sys.stdout.write(page(outcomes))
    else:
        Path(__file__).with_suffix(".md").write_text(page(outcomes))


if __name__ == "__main__":
    main()
