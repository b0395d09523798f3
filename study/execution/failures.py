"""Why a run failed: the one line that says it, out of the many that Ray wraps around it."""

UNREADABLE = "study.data.decoding.Unreadable: "


def failure_reason(traceback: str) -> str:
    """What is said of an image that cannot be read any more, else the last line."""
    lines = [line.strip() for line in traceback.strip().splitlines()]
    images = [line.split(UNREADABLE)[1] for line in lines if UNREADABLE in line]
    return (images or lines)[-1]
