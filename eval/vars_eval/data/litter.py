"""Names that operating systems, network drives and archives leave between a user's own files."""

_LITTER = frozenset(
    {
        "__macosx",  # archives packed by macOS: one "._name" for each file
        "network trash folder",
        "temporary items",
        "icon\r",
        "thumbs.db",  # Windows
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "lost+found",  # ext file systems
        "@eadir",  # Synology, QNAP
        "@recycle",
        "@recently-snapshot",
        "@sharebin",
        "@tmp",
        "#recycle",
        "#snapshot",
        "__pycache__",
    }
)


def is_litter(name: str) -> bool:
    """Whether a file or folder is no part of a data set: hidden (".DS_Store", "._x.JPEG"), or a system's own.

    Args:
        name: Its name without the folders above; case does not count.
    """
    return name.startswith((".", "~$")) or name.lower() in _LITTER
