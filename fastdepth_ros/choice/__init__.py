"""Choice of engine, precision and number of threads for an artifact on this machine."""
