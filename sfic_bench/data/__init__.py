"""Images and what is known of them: manifests, importers, checks, and an embedded default."""
