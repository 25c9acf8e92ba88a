"""The network and its parts, in PyTorch."""
