"""Explanations of fitted models: pure functions of coefficients, feature maps and embeddings."""
