"""The projects that sfic-bench has adapters for; no torch is imported, since the command line reads them."""

from enum import StrEnum


class Framework(StrEnum):
    """A project whose trainer can train networks of sfic-bench."""

    DEEPFAKEBENCH = "deepfakebench"
    FORENSICHUB = "forensichub"
