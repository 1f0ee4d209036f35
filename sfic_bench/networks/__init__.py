"""Networks that can be built by name, vanilla or in their SFIC forms, and their weights."""
