"""What a node tells about itself: metrics from one table, and logs as one line of JSON each."""
