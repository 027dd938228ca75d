#!/usr/bin/env python3
"""Writes a CSV file of accounts with {SSHA512} hashes for `mailnode account import`.
bench/accounts.py COUNT DOMAIN > FILE     account n is u<n>@DOMAIN with the password secret<n>"""
import base64, hashlib, os, sys

count, domain = int(sys.argv[1]), sys.argv[2]
print("address,name,hash,aliases")
for n in range(count):
    salt = os.urandom(8)
    digest = hashlib.sha512(f"secret{n}".encode() + salt).digest()
    print(f"u{n}@{domain},User {n},{{SSHA512}}{base64.b64encode(digest + salt).decode()},alias{n}@{domain}")
