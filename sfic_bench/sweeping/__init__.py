"""A grid of commands over one machine or many: a job for each cell, where its result lies, and what runs it."""
