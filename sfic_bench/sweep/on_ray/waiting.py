"""The tasks that Ray has not been given yet."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from sfic_bench.sweep.jobs.job import Needs
from sfic_bench.sweep.work import Task


class Waiting:
    """Tasks by the shape of their needs, so that tasks that wait for one kind of device do not hold up others."""

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
        """Remove and yield tasks until Ray has ``room`` of each shape; it has been ``given`` some already.

        Tasks that need no GPU wait until all tasks that take a whole node are done, because no node would ever be free
        among small tasks.
        """
        a_node_is_needed = False
        for shape, (needs, queue) in self._queues.items():
            takes_a_node = needs.cpus is None
            if a_node_is_needed and not needs.gpus and not takes_a_node:
                continue
            a_node_is_needed |= takes_a_node and bool(queue or given[shape])
            while queue and given[shape] < room:
                yield queue.popleft()
