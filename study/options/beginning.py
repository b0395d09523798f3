"""How a command that writes no study begins, once its options are checked. Imports torch and Ray only when asked to."""


def begin(module: str, *, scale: str, precision: str, verbose: bool) -> tuple[str, str]:
    """Starts Ray while a module is imported, and returns the scale, and a sentence that says which and why.

    Raises ValueError for a cluster that is a mistake, and for what the machine cannot compute with.
    """
    from study.cluster import connection

    connection.start_while_importing(module, verbose=verbose)

    from study.options import machine
    from study.options.scale import chosen

    if not verbose:
        connection.quieten()
    found = chosen(scale)
    machine.check_devices(precision)
    return found
