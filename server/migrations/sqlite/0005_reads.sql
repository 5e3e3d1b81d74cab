-- Reads and denials of a vault, by the hour. Counted in the transaction of the rows of the audit that tell of them.
create table reads (
    vault     text not null,
    hour      integer not null,
    delivered integer not null,
    denied    integer not null,
    primary key (vault, hour)
) without rowid, strict;

-- Of a database that is older than this: what was read before is in its audit alone.
insert into meta (name, value)
    select 'reads counted since', (strftime('%s', 'now') * 1000) || '' from meta where name = 'head';
