"""What is searched: one table per architecture, NAME.toml, with a line and a why for each hyperparameter.

Add a line to search one more: any hyperparameter that `trainables/hyperparameters.py` declares. `study.design.space`
reads these tables, and by the same code a file that --space names: copy one and change it.
"""
