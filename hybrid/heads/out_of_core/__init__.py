"""Linear heads fitted on rows that stay on disk, block by block: the SVM and logistic regression."""
