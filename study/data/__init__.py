"""Where images come from: sources, what is in them, their splits, and Ray Data bringing them to a study."""
