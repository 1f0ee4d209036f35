"""Walks through docs/deepfakebench.md with the code of DeepfakeBench and of ForensicHub."""
