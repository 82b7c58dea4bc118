"""Questions about attention, the arrays that answer them, and their figures."""
