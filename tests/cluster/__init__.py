"""A cluster as `ray up` makes it, on hosts that are network namespaces of this machine: `make cluster-test`."""
