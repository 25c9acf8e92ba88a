"""RGB-D data sets: what is read, how it is augmented, what we render ourselves."""
