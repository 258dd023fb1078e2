"""The parts of `monitor`: passes over watched examples, logs, who is told."""
