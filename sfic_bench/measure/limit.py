"""A limit of the time that eager computations may take, which ends one that is slower than its user waits for."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from sfic_bench.measure.execution import Unavailable


class OutOfTime(Unavailable):
    """A computation took longer than its limit."""


class TimeLimit(TorchDispatchMode):
    """Raise `OutOfTime` at the first operation that begins after ``seconds`` within the blocks that it guards.

    It can guard several blocks one after the other, whose times add up. Time is the processor time of this thread, so
    that no computation is ended because other programs keep the processor busy. An operation that has begun is
    finished, so that the limit is exceeded by the time of one layer at most. It guards what runs eagerly:
    ``torch.compile`` gives up in such a block.
    """

    def __init__(self, seconds: float, now_s: Callable[[], float] = time.thread_time) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seconds, self.now_s = seconds, now_s
        self.spent, self.entered = 0.0, 0.0

    def __enter__(self) -> "TimeLimit":
        self.entered = self.now_s()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)  # type: ignore[no-untyped-call]
        self.spent += self.now_s() - self.entered

    def __torch_dispatch__(
        self, func: Callable[..., object], types: Sequence[type], args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:  # fmt: skip
        if self.spent + self.now_s() - self.entered > self.seconds:
            raise OutOfTime(f"its check took longer than the time limit of {self.seconds:g} s: raise --max-seconds")
        return func(*args, **(kwargs or {}))
