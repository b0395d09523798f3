"""Which backbone: a race on evidence. Small subsets of train first, and nobody leaves it without a test."""
