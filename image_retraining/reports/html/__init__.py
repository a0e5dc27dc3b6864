"""The report: one page that opens from disk, for people who look before they read."""
