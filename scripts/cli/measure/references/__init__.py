"""Plain loops in PyTorch, as people write them by hand: what a run's speed is compared with."""
