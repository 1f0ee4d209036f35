"""The six detectors that the paper compares with, one file each; see `sfic_bench.backbones.registry` for their names."""
