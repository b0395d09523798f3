"""What is studied and how it is judged."""

from study import environment

environment.prepare()
