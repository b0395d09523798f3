"""A report in W&B over the runs that a study, or the studies of a comparison, logged there."""
