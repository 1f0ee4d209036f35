"""SFIC networks in timm: after ``import sfic_bench.timm`` its registry has ``sfic_resnet50`` and others.

``timm.create_model("sfic_resnet50", alpha=0.5, beta=0.5, num_classes=2)`` is a network, and with
``features_only=True`` one that gives its maps.

The networks have timm's interface: ``forward_features``, ``forward_head``, ``reset_classifier``, ``features_only``. The
names in their state dicts are those of `sfic_bench.build`, so that weights go from one to the other. `convert` gives
any convolutional network of timm its SFIC form.
"""

from sfic_bench.timm.conversion import convert
from sfic_bench.timm.networks import SficFeatures, SficNetwork
from sfic_bench.timm.sfic import OWN, PREFIX, TIMMS

__all__ = ["OWN", "PREFIX", "TIMMS", "SficFeatures", "SficNetwork", "convert"]
