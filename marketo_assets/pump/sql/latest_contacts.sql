with source as (
    select
        ${key_text} as contact_key,
        sha2(concat(${fingerprint_parts}), 256) as contact_fingerprint,
        ${updated_at} as changed_at,
        ${columns}
    from ${table}
),
latest as (
    -- Keys are compared trimmed and in lower case; of several contacts with one key the last changed is sent.
    select * from source
    where contact_key <> ''
    qualify row_number() over (partition by contact_key order by changed_at desc nulls last, contact_fingerprint) = 1
)
