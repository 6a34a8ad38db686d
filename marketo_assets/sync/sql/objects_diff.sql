-- Every row of the source and every record known to be in Marketo, and what is to be done about it. Rows to send carry
-- their cells.
create transient table ${snapshot} as
with source as (
    select
        to_json(array_construct(${key_parts})) as sent_key,
        ${has_key} as has_key,
        sha2(concat(${fingerprint_parts}), 256) as fingerprint,
        ${columns}
    from ${table}
),
numbered as (
    -- Keys are compared trimmed and in lower case; of several rows with one key always the same one is sent.
    select
        source.*,
        lower(sent_key) as key,
        row_number() over (partition by lower(sent_key) order by fingerprint) as number_of_key,
        count(*) over () as source_rows
    from source
),
known as (
    select *, acknowledged_at is not null or state = 'under_way' as may_be_there
    from SYNC_OBJECTS where object = %(object)s
),
judged as (
    select
        coalesce(n.key, k.key) as key,
        coalesce(n.sent_key, k.sent_key) as sent_key,
        n.fingerprint,
        n.source_rows,
        k.may_be_there and coalesce(n.number_of_key, 1) = 1 as may_be_there,
        k.code,
        case
            when n.key is null and not k.may_be_there then 'forget'
            when n.key is null and k.state = 'undeleted' and k.try_after > %(now)s::timestamp_ntz and not %(try_again)s
                then 'undeleted'
            when n.key is null then 'gone'
            when not n.has_key then 'blank_key'
            when n.number_of_key > 1 then 'duplicate_key'
            when k.state = 'acknowledged' and k.fingerprint = n.fingerprint then 'unchanged'
            when coalesce(k.tried_fingerprint, '') <> n.fingerprint or %(try_again)s then 'send'
            when k.state = 'refused' and k.tried_mapping = %(mapping)s then 'refused'
            when k.state in ('waiting', 'unsent') and k.try_after > %(now)s::timestamp_ntz then k.state
            else 'send'
        end as what,
        ${cells}
    from numbered n
    full outer join known k on k.key = n.key
)
select
    key, sent_key, fingerprint, source_rows, may_be_there, code, what,
    row_number() over (partition by what order by key) as number,
    ${sent_cells}
from judged
