-- Which run of the server counted: each counts for itself, and the sum is exact.
create table activity_by_writer (
    minute   integer not null,
    kind     text not null,
    writer   text not null,
    count    integer not null,
    first_of text not null,
    last_of  text not null,
    primary key (minute, kind, writer)
) without rowid, strict;
insert into activity_by_writer select minute, kind, '', count, first_of, last_of from activity;
drop table activity;
alter table activity_by_writer rename to activity;
