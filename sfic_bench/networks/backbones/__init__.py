"""Vanilla backbones, one file for each family, without anything of SFIC."""
