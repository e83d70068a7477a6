"""The base agents, one readable file each."""
