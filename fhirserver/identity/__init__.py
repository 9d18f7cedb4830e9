"""Who people are to this server: accounts, passwords, second factors, sessions.

All of it rests on `store.records`, one tenant's; clock, ids and randomness are passed in.
"""
