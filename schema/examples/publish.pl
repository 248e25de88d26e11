#!/usr/bin/perl
# Publishes one record: publish.pl events.db orders/42 paid '{"total": 12}'
use strict;
use warnings;
use DBI;
use Encode 'decode';

sub events_connect {
    my ($path) = @_;
    my $db = DBI->connect("dbi:SQLite:dbname=$path", '', '',
        { RaiseError => 1, PrintError => 0, AutoCommit => 1, sqlite_unicode => 1 });
    $db->sqlite_busy_timeout(10_000);    # ms to wait for other writers
    return $db;
}

# $event is undef for a plain message. All are strings of characters, not of bytes. Returns the
# record's id.
sub publish {
    my ($db, $channel, $event, $data) = @_;
    $db->do('INSERT INTO events(channel, event, data) VALUES (?, ?, ?)',
        undef, $channel, $event, $data);
    return $db->sqlite_last_insert_rowid;
}

unless (caller) {
    # 'utf8' accepts every character; 'UTF-8' would replace those that Unicode reserves for internal use.
    my ($path, $channel, $event, $data) = map { decode('utf8', $_) } @ARGV;
    print publish(events_connect($path), $channel, length $event ? $event : undef, $data), "\n";
}

1;
