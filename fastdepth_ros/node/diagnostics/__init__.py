"""Messages of the node on /diagnostics: counters, findings, health, report."""
