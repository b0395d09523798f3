"""Architectures that are not written but found: every model of timm, traced and cut where one tensor is alive.

`declared` makes an `Architecture` of a name; `points` says where a traced model may be cut; `cutting` chooses among
these and checks that the stages compute what the model does; `kept` remembers what was found. docs/backbones.md.
"""
