"""Compares two result files, figure by figure."""
