#!/home/USER/rowtail/rowtail-publish
# Publishing by HTTP: both the CGI program and its CONFIG file. It is off until you follow README.md beside this file. Write the
# two real paths.

db = /home/USER/rowtail/events.db

# Only those with a row in the table publishers may publish. A row in grants does not count.

# Messages a minute: from each user or token, and from each address.
rate = 60
rate-per-address = 60

# Other programs write the log too. If they hold it for longer than this many seconds, the answer is 503.
wait = 5
