"""What tests share: processes, hosts, hostile peers, fake distributions."""
