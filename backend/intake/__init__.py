"""Reading files: posts, a teacher's answers, evaluation sets.

A file goes through in steps that each know only the one before: `readers` turns it into rows
with line numbers, `columns` says which column is what, `rows` makes posts of rows, `posts`,
`answers` and `sets` store them. A row that cannot be used is reported with its line, and the
others go in.
"""
