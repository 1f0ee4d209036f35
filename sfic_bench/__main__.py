"""``python -m sfic_bench`` is ``sfic-bench``."""

from sfic_bench.cli.main import main

main()
