"""Arguments → spec → steps → exit status."""
