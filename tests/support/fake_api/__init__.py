"""A real gRPC server with fake servicers, that fails on wish."""
