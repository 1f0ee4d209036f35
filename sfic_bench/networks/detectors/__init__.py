"""The six detectors that the paper compares with, one file each; `sfic_bench.networks.registry` has their names."""
