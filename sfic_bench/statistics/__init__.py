"""Medians and shares with their intervals, and tests that control false discoveries."""
