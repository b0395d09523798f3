"""What lies beside the images of a dataset: what other programs left there, and files that are no image to a study."""

from pathlib import PurePosixPath

# Folders that systems and programs make by themselves, in lower case
STRAY_FOLDERS = frozenset(
    {
        *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "@sharebin", "@__thumb", "#recycle", "#snapshot"),  # NAS
        *("lost+found", "$recycle.bin", "recycler", "system volume information", "__macosx", "__pycache__"),
        *("network trash folder", "temporary items"),
    }
)

# What is an image to people and not to the decoders that are installed, and what to do about it
CONVERT = "convert them to PNG or JPEG"
NOT_DECODED = {
    **dict.fromkeys((".heic", ".heif", ".hif"), ("HEIC", "pip install pillow-heif")),
    **dict.fromkeys((".svg", ".svgz"), ("SVG", CONVERT)),
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"), ("raw photos", CONVERT)),
    **dict.fromkeys((".dcm", ".dicom"), ("DICOM", CONVERT)),
    **dict.fromkeys((".jxl",), ("JPEG XL", CONVERT)),
    **dict.fromkeys((".psd", ".xcf"), ("layered images", CONVERT)),
    **dict.fromkeys((".exr", ".hdr", ".fits", ".nii", ".npy", ".npz", ".mat"), ("arrays", CONVERT)),
    **dict.fromkeys((".tga", ".ico", ".pcx", ".eps", ".pdf"), ("other formats", CONVERT)),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".webm"), ("videos", "save their frames as images")),
}


def is_stray_folder(name: str) -> bool:
    return is_hidden(name) or name.lower() in STRAY_FOLDERS


def is_hidden(name: str) -> bool:
    return name.startswith(".")


def suffix_of(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def not_decoded(path: str) -> str | None:
    """The kind of an image that cannot be read here; None for any other file."""
    known = NOT_DECODED.get(suffix_of(path))
    return known and known[0]


def way_out(kind: str) -> str:
    """What makes images of a kind that cannot be read."""
    return next(way for known, way in NOT_DECODED.values() if known == kind)
