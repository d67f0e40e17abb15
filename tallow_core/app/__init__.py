"""What a program uses: `compose` puts settings, plugins, policy and reporter together, `send_call`
and `receive_call` are what `tallow_core.api` gives. It imports every room below it; `cli` and
`testing` are its users."""
