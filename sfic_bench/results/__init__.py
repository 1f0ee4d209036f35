"""Results: one type for each kind, and the files that hold them. This room imports no torch."""
