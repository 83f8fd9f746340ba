"""What tests of several kinds start and wait for."""
