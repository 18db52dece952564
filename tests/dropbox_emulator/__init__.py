"""A strict stand-in for the Dropbox HTTP API, as a process of its own over TLS.

    python -m tests.dropbox_emulator --dir DIR

prints one line of JSON (ports, CA file) and serves until its standard input ends. It refuses whatever the service would
refuse: every request is decoded, and every answer encoded, by the validators of the official SDK, strictly.

- `server` speaks HTTP on the three hosts, `api` finds the route, the token and the argument of a call, `wire` knows how
  arguments, answers and refusals are written, `routes/` holds what each route does;
- `service` is the service with its `accounts`; an account has a `tree` of files, whose changes a `feed` tells through
  cursors; `sessions` hold uploads, `jobs` hold batches, `tokens` tell who may call;
- `faults` say how it is to misbehave, `journal` what was asked, `clock` what time it is;
- `control` lets a test steer all of this and act as another program on the account; `remote` is the test's end of that,
  and `fixture` starts the whole for a test.
"""
