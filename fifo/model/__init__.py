"""The model: what a fleet consists of, as immutable values and functions of values.

Nothing here reads a clock, draws a number or touches a file. The same structs are the stored
records and the payloads between nodes; protobuf exists at the API's edge alone.
"""
