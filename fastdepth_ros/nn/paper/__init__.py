"""Networks for a reader of the paper: the prior work of Table I and the rows of its tables."""
