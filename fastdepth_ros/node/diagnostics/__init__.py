"""What the node says about itself on /diagnostics."""
