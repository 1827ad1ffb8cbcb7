"""From the finder's answers to a report: its table, its prose, its files."""
