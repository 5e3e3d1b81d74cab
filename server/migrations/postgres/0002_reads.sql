-- Reads and denials of a vault, by the hour. Counted in the transaction of the rows of the audit that tell of them.
create table reads (
    vault     text not null,
    hour      bigint not null,
    delivered bigint not null,
    denied    bigint not null,
    primary key (vault, hour)
) with (fillfactor = 70);

-- Of a database that is older than this: what was read before is in its audit alone.
insert into meta (name, value)
    select 'reads counted since', ((extract(epoch from clock_timestamp()) * 1000)::bigint)::text
    from meta where name = 'head';
