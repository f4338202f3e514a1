"""The multi-label linear SVM: one solve for all labels, with a certificate of optimality."""
