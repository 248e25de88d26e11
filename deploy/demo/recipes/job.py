#!/usr/bin/python3
"""Starts a job for job.html, as a CGI program: the same as job.php. DATABASE is the path of the database."""

import os
import sqlite3
import sys
from urllib.parse import parse_qs


def main():
    form = parse_qs(sys.stdin.read(min(int(os.environ.get("CONTENT_LENGTH") or 0), 1000)))
    steps = form.get("steps", [""])[0]
    if not (steps.isascii() and steps.isdigit() and 1 <= int(steps) <= 100):
        print("Status: 400\nContent-Type: text/plain\n\nSteps is a number from 1 to 100.")
        return
    db = sqlite3.connect(os.environ["DATABASE"], timeout=5)
    with db:
        job = db.execute("INSERT INTO jobs(steps) VALUES (?)", (int(steps),)).lastrowid
    print(f"Status: 303\nLocation: job.html?job={job}\n")


if __name__ == "__main__":
    main()
