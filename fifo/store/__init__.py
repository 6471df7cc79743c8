"""The store: one key-value contract with etcd's semantics, and its engines (docs/store.md)."""
