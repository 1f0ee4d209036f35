"""What the operations of vanilla networks mean on pairs, one family of operations a file."""

from sfic_bench.convert.rules import channels, channelwise, convolutions, norms, pools, sizes
from sfic_bench.convert.rules.table import Rule, rule_for

__all__ = ["Rule", "channels", "channelwise", "convolutions", "norms", "pools", "rule_for", "sizes"]
