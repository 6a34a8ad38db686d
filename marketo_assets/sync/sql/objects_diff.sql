-- Every row of the source and every record known to be in Marketo, and what is to be done about it. Rows to send carry
-- their cells.
create temporary table ${snapshot} as
with source as (
    select
        to_json(array_construct(${key_parts})) as row_key,
        ${has_key} as has_key,
        sha2(concat(${fingerprint_parts}), 256) as fingerprint,
        ${columns}
    from ${table}
),
numbered as (
    -- Keys are compared trimmed and in lower case; of several rows with one key always the same one is sent.
    select
        *,
        row_number() over (partition by lower(row_key) order by fingerprint) as number_of_key,
        count(*) over () as source_rows
    from source
),
known as (
    select
        key as known_key, sent_key, fingerprint as accepted, acknowledged_at is not null or state = 'under_way' as is_there,
        state, tried_fingerprint, tried_mapping, try_after > %(now)s::timestamp_ntz and not %(try_again)s as is_to_wait, code
    from SYNC_OBJECTS
    where object_name = %(object)s
),
judged as (
    select
        *,
        case
            when row_key is null and not is_there then 'forget'
            when row_key is null and state = 'undeleted' and is_to_wait then 'undeleted'
            when row_key is null then 'gone'
            when not has_key then 'blank_key'
            when number_of_key > 1 then 'duplicate_key'
            when state = 'acknowledged' and accepted = fingerprint then 'unchanged'
            when coalesce(tried_fingerprint, '') <> fingerprint then 'send'
            when state = 'refused' and tried_mapping = %(mapping)s and not %(try_again)s then 'refused'
            when state in ('waiting', 'unsent') and is_to_wait then state
            else 'send'
        end as what
    from numbered
    full outer join known on known_key = lower(row_key)
)
select
    coalesce(lower(row_key), known_key) as key,
    coalesce(row_key, sent_key) as sent_key,
    fingerprint,
    source_rows,
    is_there and coalesce(number_of_key, 1) = 1 as is_there,
    code,
    what,
    row_number() over (partition by what order by coalesce(lower(row_key), known_key)) as row_number,
    ${cells}
from judged
