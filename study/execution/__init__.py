"""The steps of a study under way: search, replicates, tests; and going on with one that was interrupted."""
