"""Linear heads whose rows live on the workers of a cluster."""
