"""The engine that runs jobs as tasks of Ray, which places them, and starts them again if a node is lost.

Ray's documentation: https://docs.ray.io/en/latest/ray-core/tasks.html, …/fault_tolerance/tasks.html and
…/scheduling/placement-group.html.
"""

from sfic_bench.sweeping.on_ray.engine import OnRay

__all__ = ["OnRay"]
