"""The shipped model: its training and its report."""
