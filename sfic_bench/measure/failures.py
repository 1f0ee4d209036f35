"""What to tell of an error that a device, a library or the memory raised while something was run."""

from collections.abc import Iterator

import torch

from sfic_bench.errors import first_line

_SAID = ("out of memory", "can't allocate memory", "ALLOC_FAILED", "cudaErrorMemoryAllocation")
"""What bare RuntimeErrors say: of CUDA, of torch's CPU allocator, of cuBLAS and cuDNN, of the CUDA runtime."""


def out_of_memory(error: BaseException) -> str | None:
    """What to tell if ``error``, or an error during which it was raised, is a lack of memory; else ``None``.

    A CUDA graph's capture that runs out of memory ends in another error, about the capture.
    """
    for each in _chain(error):
        said = first_line(each)
        if isinstance(each, torch.OutOfMemoryError | MemoryError):
            return f"out of memory: {said}"
        if isinstance(each, RuntimeError) and any(words in said for words in _SAID):
            return f"out of memory: {said}"
    return None


def explained(error: BaseException) -> str:
    """``error`` in a line: what was out of memory, or its type and what it says first."""
    return out_of_memory(error) or f"{type(error).__name__}: {first_line(error)}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
