"""Adapters for the trainers of other projects: DeepfakeBench and ForensicHub train a network, and sfic-bench scores it.

Neither project is imported until `sfic_bench.frameworks.deepfakebench.register` or
`sfic_bench.frameworks.forensichub.register` is called from inside it. `sfic_bench.frameworks.weights` makes a run of a
checkpoint, without either of them.
"""
