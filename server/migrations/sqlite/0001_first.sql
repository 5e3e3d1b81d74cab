-- Installation id, root key check, and the head: what the rest must agree with.
create table meta (
    name  text primary key not null,
    value text not null
) without rowid, strict;

-- Everything the server knows, one row an entity. The MAC covers kind, id, seq and doc.
create table entity (
    kind text not null,
    id   text not null,
    doc  text not null,
    seq  integer not null,
    mac  blob not null,
    primary key (kind, id)
) without rowid, strict;

-- Sealed values. What is sealed says itself where it belongs.
create table version (
    secret      text not null,
    version     integer not null,
    vault       text not null,
    project     text not null,
    time        integer not null,
    field_names text not null,
    wrapped_key blob not null,
    ciphertext  blob not null,
    primary key (secret, version)
) strict;

-- In the order in which they expire, so that inserting touches few pages and purging is one range.
create table nonce (
    expiry integer not null,
    signer text not null,
    nonce  text not null,
    primary key (expiry, signer, nonce)
) without rowid, strict;

-- Append-only. No index besides the sequence: this is where most of the writing goes.
create table audit (
    seq   integer primary key not null,
    time  integer not null,
    entry text not null,
    hash  blob not null
) strict;

create trigger audit_is_never_changed before update on audit
begin
    select raise(abort, 'the audit is append-only');
end;

create trigger audit_is_never_deleted before delete on audit
begin
    select raise(abort, 'the audit is append-only');
end;

-- Reads and denials of one secret by one reader.
create table tally (
    secret text not null,
    reader text not null,
    doc    text not null,
    primary key (secret, reader)
) without rowid, strict;

-- The version of each secret that each machine was delivered last.
create table delivered (
    machine text not null,
    secret  text not null,
    version integer not null,
    primary key (machine, secret)
) without rowid, strict;

create table last_seen (
    machine text primary key not null,
    time    integer not null
) without rowid, strict;

-- Requests that are counted instead of audited one by one.
create table activity (
    minute   integer not null,
    kind     text not null,
    count    integer not null,
    first_of text not null,
    last_of  text not null,
    primary key (minute, kind)
) without rowid, strict;
