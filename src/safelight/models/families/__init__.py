"""The families of models: what their files look like and what their networks want to be told.

``registry`` finds the family of a file; each of the other modules holds what is special to one.
"""
