"""`fifo demo`: the main job on this machine in two minutes, and nothing left behind."""
