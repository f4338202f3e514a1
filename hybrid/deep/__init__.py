"""Deep baselines: networks trained end to end, with the score interface of a head."""
