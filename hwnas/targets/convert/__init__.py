"""The ecosystem's converters, for networks that no graph describes.

What hwnas's own emitters write comes from a graph. A user's torch module has none; these functions
call the standard converters for it, and silence what they print.
"""
