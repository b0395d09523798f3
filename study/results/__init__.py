"""The record of a study on disk, and what is computed from it."""
