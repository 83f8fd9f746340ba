"""The gRPC API: it checks, stores and asks; it never computes a network."""
