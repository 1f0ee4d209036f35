"""Whether one result file is better or worse than another, figure by figure."""
