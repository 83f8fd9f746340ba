"""The servicers: decode, one call, encode."""
