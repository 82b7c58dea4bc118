"""The text of a PDF's pages as it is drawn: letters, places and order. Only the guarded child process comes here."""
