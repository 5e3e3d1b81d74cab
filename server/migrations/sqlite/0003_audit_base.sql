-- Rows that were exported may go, and no others: those up to the base, which is in the hands of the server (its row in
-- meta has a MAC).
drop trigger audit_is_never_deleted;

create trigger audit_is_deleted_up_to_its_base_only before delete on audit
when old.seq > coalesce((select value ->> '$.seq' from meta where name = 'audit base'), 0)
begin
    select raise(abort, 'the audit is append-only');
end;
