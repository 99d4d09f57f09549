"""The console script `astmt`, which has all commands under one name."""
