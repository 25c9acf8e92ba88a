"""What only a reader of the paper asks for: the prior work of Table I and the rows of its tables."""
