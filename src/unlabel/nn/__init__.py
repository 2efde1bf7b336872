"""Networks and the parts of methods that hold state; import from the modules directly."""
