"""What a program uses: `compose` puts settings, plugins, policy and reporter together, `api` sends
and receives. It imports every room below it; `cli` and `testing` are its users."""
