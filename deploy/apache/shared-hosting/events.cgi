#!/home/USER/rowtail/rowtail
# Both the CGI program and its CONFIG file. See README.md beside this file.

db = /home/USER/rowtail/events.db

# Only those with a row in the table grants may read. This row lets everyone read news/*:
#   INSERT INTO grants(subject, channel) VALUES ('*', 'news/*');
# Remove the # only if everyone may read every channel:
#public = yes

# Each stream is a process here, and hosts allow few. After five minutes it ends, and the browser reconnects
# and resumes where it was.
max-stream-age = 300
