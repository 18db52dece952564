"""Programs that read everything there is, of their own accord, to index it or to show small pictures of it.

Of a file whose bytes are only on an entry they get its beginning, and nothing is kept of that. A program belongs here
only if nobody waits for what it makes of a file and nothing is lost if it makes nothing: not what a person starts to
read files (grep, a viewer), and no backup program, whose user has to decide whether it is to fetch everything.

Globs of names of processes: see fuse/scanners.py.
"""

SCANNERS: tuple[str, ...] = (
    # GNOME: the full-text index, by its old name and by the one it has since 47
    "tracker-extract*",
    "tracker-miner-*",
    "localsearch*",
    # KDE: the same; and thumbnails, made in a process that is told what to be
    "baloo_file*",
    "thumbnail.so",
    # small pictures: Xfce; GNOME, MATE, Cinnamon and whatever programs bring along for them
    "tumblerd",
    "*-thumbnailer",
    "ffmpegthumbnailer",
    "gnome-thumbnail-font",
    "mate-thumbnail-font",
    # indexers of no desktop
    "recollindex",
)

HEAD_BYTES = 256 << 10
"""How much of a file they get: headers, and the small picture that a camera puts into a photo."""
