"""Baselines that take seconds: ridge regression on frozen features."""
