"""TF-IDF features: compiled counting of words and character n-grams."""
