"""Results: one type for each kind, and the files that hold them. Nothing here imports torch."""
