"""The asyncio shell that feeds the machines: dialling, listening, sessions and the relay."""
