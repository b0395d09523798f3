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
    here = "this machine" if environment.address() is None else "this Ray cluster"
    if gpu.available():
        return "paper", f"scale paper, for {here} has a GPU (--scale mini for the small models)"
    return "mini", f"scale mini, for {here} has no GPU (--scale paper for the models of the paper)"
