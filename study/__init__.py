"""What is studied and how it is judged."""

from study.cluster import environment

environment.prepare()
