-- Counters that nothing compares with are stored later than what they count. Up to this row of the audit all are.
insert into meta (name, value) select 'counted', last || '' from (select max(seq) as last from audit) where last > 0;
update tally set doc = json_set(doc, '$.as_of', (select coalesce(max(seq), 0) from audit));
