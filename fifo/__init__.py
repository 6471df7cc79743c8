"""FiFo: a fleet manager for hypervisors, in supervised actors."""
