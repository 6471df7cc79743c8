"""What the SQLite engine promises beyond the contract: disks, crashes, and what opens them."""
