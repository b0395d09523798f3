"""Ray: which cluster a command runs on, its environment, and what each run may use of it."""
