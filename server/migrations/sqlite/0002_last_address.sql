-- From where: that address stays open for the machine when others fail as it.
alter table last_seen add column address text;
