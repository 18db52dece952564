"""What is never placed unless a setup says otherwise: names that exist only while a program works.

A name belongs here only if no finished file of a user's can be expected to bear it, because a file of such a name stays
on this machine alone (status counts it as "only here"). That is why `*.tmp` is not here: people keep files of that
name. Leaving a temp name out costs nothing but, at worst, a transfer, since a save by temp file and rename ends with
the final name; having one too many costs a user the copies of a file.
"""

NEVER: tuple[str, ...] = (
    # editors
    ".*.sw[a-p]",  # vim: swap files, .swp and then backwards
    ".sw[a-p]",  # vim: the same of a text without a name
    ".*.swx",  # vim: a test whether it may write
    "4913",  # vim: the same
    "*~",  # vim, Emacs, gedit: the version before the last save
    "#*#",  # Emacs: unsaved work
    ".#*",  # Emacs: locks
    ".*.kate-swp",  # Kate
    # office programs
    ".~lock.*#",  # LibreOffice: locks
    "lu[0-9]*.tmp",  # LibreOffice: while it saves
    "~$*",  # Microsoft Office: locks
    "~WR[DL]*.tmp",  # Word: while it saves
    # saving by GLib programs, transfers
    ".goutputstream-*",
    # rsync, .NAME.XXXXXX: six random letters and digits. Those that hold a small letter or digit before a capital: any
    # other six letters are more likely somebody's own ending (.env.sample, .notes.202411).
    ".*.{[a-z0-9][A-Z][!.][!.][!.][!.],[!.][a-z0-9][A-Z][!.][!.][!.],[!.][!.][a-z0-9][A-Z][!.][!.]}",
    ".*.{[!.][!.][!.][a-z0-9][A-Z][!.],[!.][!.][!.][!.][a-z0-9][A-Z]}",
    ".~tmp~/",  # rsync --delay-updates
    # downloads that are not complete
    "*.part",  # Firefox, curl, KDE
    "*.crdownload",  # Chrome, Chromium, Edge
    "*.opdownload",  # Opera
    ".com.google.Chrome.*",
    ".org.chromium.Chromium.*",
    # stand-ins of file systems for open files that were deleted
    ".nfs[0-9a-f]*",
    ".fuse_hidden*",
)
