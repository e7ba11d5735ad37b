"""Figures of attention maps, as one finds them in papers, each with the numbers behind it as CSV."""
