"""The tasks that Ray has not been given yet."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from sfic_bench.sweep.jobs.job import Needs
from sfic_bench.sweep.work import Task


class Waiting:
    """Tasks by shape, so that those which wait for a device keep no others from theirs."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._queues: dict[object, tuple[Needs, deque[Task]]] = {}
        for task in tasks:
            self.put(task)

    def __bool__(self) -> bool:
        return any(queue for _, queue in self._queues.values())

    def put(self, task: Task) -> None:
        needs = task.job.needs
        self._queues.setdefault(needs.shape, (needs, deque()))[1].append(task)

    def next(self, given: Mapping[object, int], room: int) -> Iterator[Task]:
        """Up to ``room`` of each shape, of which some are ``given`` already.

        Until all that take a whole node are done, small ones that need no GPU wait: among those no node would ever be free.
        """
        a_node_is_wanted = False
        for shape, (needs, queue) in self._queues.items():
            takes_a_node = needs.cpus is None
            if a_node_is_wanted and not needs.gpus and not takes_a_node:
                continue
            a_node_is_wanted |= takes_a_node and bool(queue or given[shape])
            while queue and given[shape] < room:
                yield queue.popleft()
