"""What the operations of vanilla networks mean on pairs, one family of operations a file."""

from sfic_bench.convert.rules import axes, channels, channelwise, layers, pools, sizes
from sfic_bench.convert.rules.table import Rule, rule_for

__all__ = ["Rule", "axes", "channels", "channelwise", "layers", "pools", "rule_for", "sizes"]
