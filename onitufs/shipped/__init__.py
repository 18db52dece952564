"""Files that are installed elsewhere: a systemd unit and the man page."""
