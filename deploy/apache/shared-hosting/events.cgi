#!/home/USER/rowtail/rowtail
# The program of the stream, and its CONFIG file in one; see README.md beside this file.

db = /home/USER/rowtail/events.db

# Who may read: only who has a row in the table grants. This row lets everyone read news/*:
#   INSERT INTO grants(subject, channel) VALUES ('*', 'news/*');
# Take the # away only if everyone may read every channel:
#public = yes

# Each stream is a process here, and hosts allow few. After five minutes it ends, the browser asks
# again by itself, and goes on where it was.
max-stream-age = 300
