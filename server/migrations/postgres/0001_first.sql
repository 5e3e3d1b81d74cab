-- The same tables as the embedded database has, and `log`, by which several servers follow each other.

-- Installation id, root key check, and the head: what the rest must agree with. Every group locks the head's row, so
-- the groups of all servers are one after the other.
create table meta (
    name  text primary key,
    value text not null
);

-- Everything the server knows, one row an entity. The MAC covers kind, id, seq and doc.
create table entity (
    kind text not null,
    id   text not null,
    doc  text not null,
    seq  bigint not null,
    mac  bytea not null,
    primary key (kind, id)
);

-- Sealed values. What is sealed says itself where it belongs.
create table version (
    secret      text not null,
    version     bigint not null,
    vault       text not null,
    project     text not null,
    time        bigint not null,
    field_names text not null,
    wrapped_key bytea not null,
    ciphertext  bytea not null,
    primary key (secret, version)
);

-- Unique whatever the timestamp: a server does not remember what another one burnt.
create table nonce (
    signer text not null,
    nonce  text not null,
    expiry bigint not null,
    primary key (signer, nonce)
);
create index nonce_expiry on nonce (expiry);

-- Append-only. No index besides the sequence: this is where most of the writing goes.
create table audit (
    seq   bigint primary key,
    time  bigint not null,
    entry text not null,
    hash  bytea not null
);

create function audit_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the audit is append-only';
end
$$;

-- Rows that were exported may go, and no others: those up to the base, which is in the hands of the server (its row in
-- meta has a MAC).
create function audit_is_deleted_up_to_its_base_only() returns trigger language plpgsql as $$
begin
    if old.seq > coalesce((select (value::json ->> 'seq')::bigint from meta where name = 'audit base'), 0) then
        raise exception 'the audit is append-only';
    end if;
    return old;
end
$$;

create trigger audit_is_never_changed before update on audit
    for each row execute function audit_is_append_only();
create trigger audit_is_deleted_up_to_its_base_only before delete on audit
    for each row execute function audit_is_deleted_up_to_its_base_only();
create trigger audit_is_never_emptied before truncate on audit
    for each statement execute function audit_is_append_only();

-- Reads and denials of one secret by one reader.
create table tally (
    secret text not null,
    reader text not null,
    doc    text not null,
    primary key (secret, reader)
) with (fillfactor = 70);

-- The version of each secret that each machine was delivered last.
create table delivered (
    machine text not null,
    secret  text not null,
    version bigint not null,
    primary key (machine, secret)
) with (fillfactor = 70);

-- From where each machine last signed a request, and when: that address stays open for it when others fail as it.
create table last_seen (
    machine text primary key,
    time    bigint not null,
    address text
) with (fillfactor = 70);

-- Requests that are counted instead of audited one by one.
create table activity (
    minute   bigint not null,
    kind     text not null,
    count    bigint not null,
    first_of text not null,
    last_of  text not null,
    primary key (minute, kind)
) with (fillfactor = 70);

-- What each group has changed, for the servers that did not write it. Kept for minutes: who comes later reads it all.
create table log (
    seq  bigint primary key,
    prev bigint not null,
    time bigint not null,
    body text not null,
    mac  bytea not null
);
