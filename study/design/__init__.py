"""The design of a study: what is studied, by which recipe, in which space. Frozen, and free of torch and Ray."""
