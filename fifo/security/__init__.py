"""Who calls, and what they may do: certificates, tokens, and the permission check at the door."""
