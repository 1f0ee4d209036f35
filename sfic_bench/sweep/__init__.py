"""A grid of commands over one machine or many: what each cell is, where its result lies, and what runs it."""
