"""Panels for lessons: one file a widget, what it does kept apart from how it is drawn."""
