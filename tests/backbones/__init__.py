"""The contract of an architecture on one small model of every module of timm: `make backbones`."""
