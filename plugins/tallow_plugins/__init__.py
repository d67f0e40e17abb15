"""The drivers that come with Tallow, one file a driver, each found through its entry point."""
