"""What each command of the command line does, as a function with typed results; the command line parses and prints.

The functions have the commands' names (`sfic_bench.flops` is ``sfic-bench flops``), and `sfic_bench` gives them all.
They take Python's values where the command line takes text, return results (`sfic_bench.results`), tell the user's
decisions to `logging`, and tell a `Watcher` where long work stands.
"""
