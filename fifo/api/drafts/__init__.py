"""Drafts: the spec of an instance as a request asks for it, checked against what there is."""
