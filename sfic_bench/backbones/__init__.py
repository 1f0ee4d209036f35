"""Vanilla networks and their registry. Nothing here knows of SFIC."""

from sfic_bench.backbones.registry import build, check_name, detector_names, input_size_of, names, register

__all__ = ["build", "check_name", "detector_names", "input_size_of", "names", "register"]
