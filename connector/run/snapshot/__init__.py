"""A snapshot: what a planner asked, and what it was told, one JSON object a line; the same plan is drawn from it again.

recorder.py  writes down questions and answers while a plan is made
player.py    answers from them, in the same order
tape.py      the lines on disk, each with a check of itself and those before it
codec.py     values as JSON and back; of a secret, only that it is there
"""
