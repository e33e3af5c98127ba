"""What wakit decides, and nothing else: declaration and observation in, plan and next state out.

Pure: no I/O, no clock, no asyncio, no randomness; time and chance are arguments. Runs wherever it is imported.
"""
