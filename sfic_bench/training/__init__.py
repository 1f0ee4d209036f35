"""Networks trained and scored alike: recipe, loop, scores, runs, protocols."""
