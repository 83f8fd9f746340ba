"""Our library beside PyTorch. `bench/setup` makes the environment; elsewhere these tests skip."""
