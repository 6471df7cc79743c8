"""Images on the host: fetched, checked, unpacked once, and shared by the instances made of them."""
