"""The contract between ConvNest's processes and its clients: Protocol Buffers and gRPC stubs."""
