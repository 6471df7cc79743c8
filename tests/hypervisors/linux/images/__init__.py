"""Images: archives that mean harm, layouts that lie, sources that lead inside."""
