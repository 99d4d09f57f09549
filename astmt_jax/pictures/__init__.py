"""Pictures: photos that are read, predictions that are drawn."""
