#!/home/USER/rowtail/rowtail
# Both the CGI program and its CONFIG file. See README.md beside this file. setup.php writes the two paths.

db = /home/USER/rowtail/events.db

# Only those with a row in the table grants may read. This row lets everyone read news/*:
#   INSERT INTO grants(subject, channel) VALUES ('*', 'news/*');
# Remove the # only if everyone may read every channel:
#public = yes

# Each stream is a process here, and hosts allow few. After five minutes it ends, and the browser reconnects
# and resumes where it was.
max-stream-age = 300

# The streams of all visitors together. Further visitors poll until one is free. Hosts allow an account 20 to 100
# processes; leave some for polls and for your site. (If Linux itself limits the processes, rowtail uses at most
# three quarters of them.)
max-streams = 12

# A file watch notices each commit at once. By default rowtail also looks ten times a second, at least until the watch has
# proven reliable. That would take each of these processes three times as much CPU.
poll = 1000
