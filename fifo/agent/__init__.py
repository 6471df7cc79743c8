"""The agent: what runs on a hypervisor, one actor for each instance."""
