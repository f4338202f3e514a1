"""Studies of a fitted run: ablation, learning curve, repeated splits, nested cross-validation."""
