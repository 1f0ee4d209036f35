"""Errors of devices, libraries and memory in one line, and how a lack of memory is recognised."""

import torch

from sfic_bench.errors import chain, first_line

_LACKS_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "cudaErrorMemoryAllocation")
"""Words in a bare RuntimeError of CUDA, torch's CPU allocator, cuBLAS and cuDNN, and the CUDA runtime."""


def out_of_memory(error: BaseException) -> str | None:
    """A message if ``error``, or an error that it was raised from or during, is a lack of memory; otherwise ``None``.

    A CUDA graph's capture that runs out of memory ends in another error, about the capture.
    """
    for cause in chain(error):
        message = first_line(cause)
        if isinstance(cause, torch.OutOfMemoryError | MemoryError):
            return f"out of memory: {message}"
        if isinstance(cause, RuntimeError) and any(words in message for words in _LACKS_MEMORY):
            return f"out of memory: {message}"
    return None


def explained(error: BaseException) -> str:
    """``error`` in one line: that memory ran out, or the error's type and the first line of its message."""
    return out_of_memory(error) or f"{type(error).__name__}: {first_line(error)}"


def is_lack_of_memory(reason: str) -> bool:
    """Whether the ``reason`` of a row without a time is a lack of memory, found in a call or foreseen."""
    return reason.startswith("out of memory") or "of memory are needed" in reason
