"""The kernel's side: pyfuse3 handlers that translate and nothing else, and the mount itself."""
