"""--scale: mini or paper, as asked, or by whether there is a GPU."""

from study.cluster import environment, gpu
from trainables.choices import SCALES, choose


def possible(requested: str) -> tuple[str, ...]:
    """The scales that may be meant, as far as is known without torch and Ray. Raises ValueError for a mistake."""
    choose("scale", requested, ["auto", *SCALES])
    environment.check()
    if requested != "auto":
        return (requested,)
    return SCALES if gpu.known() is None else ("mini",)


def chosen(requested: str) -> tuple[str, str]:
    """The scale, and a sentence that says which, why, and how to choose. May import torch or Ray.

    Raises ValueError for a mistake.
    """
    if possible(requested) == (requested,):
        return requested, f"scale {requested}, as asked"
    if gpu.available():
        return "paper", "scale paper, for this Ray cluster has a GPU (--scale mini for the small models)"
    return "mini", "scale mini, for this Ray cluster has no GPU (--scale paper for the models of the paper)"
