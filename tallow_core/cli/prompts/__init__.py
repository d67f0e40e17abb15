"""Asks the person at the terminal. Each question is answered by a line of standard input.

Inside: the questions about an offer, the choice of its entries, and the safety number. Imports the
rooms below `cli`, `views`, and itself.
"""
