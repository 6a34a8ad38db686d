-- The contacts to send, numbered: what differs from what Marketo last accepted, was not refused as it is,
-- and is not under way in an open file with the same values.
create or replace temporary table ${snapshot} as
${latest_contacts},
under_way as (
    -- Only what was exported last counts: an older open file is not going to undo a newer one.
    select e.key, e.fingerprint
    from PUMP_EXPORTS e
    join PUMP_FILES f on f.pump = e.pump and f.file = e.file and f.origin = 'drop'
    where e.pump = %(pump)s and f.state in ('writing', 'open', 'done')
    qualify row_number() over (partition by e.key order by e.exported_at desc) = 1
        and f.state in ('writing', 'open')
)
select
    row_number() over (order by latest.contact_key) as snapshot_row,
    latest.*
from latest
left join PUMP_FINGERPRINTS known on known.pump = %(pump)s and known.key = latest.contact_key
left join under_way on under_way.key = latest.contact_key and under_way.fingerprint = latest.contact_fingerprint
where under_way.key is null
    -- Contacts that have a lead are the sync's, where there is one: it sends their changes field by field.
    and not (%(is_synced)s and latest.contact_key in (select contact_key from SYNC_CONTACTS where pump = %(pump)s))
    and coalesce(known.fingerprint, '') <> latest.contact_fingerprint
    -- Where a line of the mapping is left out, a fingerprint of the whole mapping tells nothing.
    and not (%(only_new)s and known.fingerprint is not null)
    and (
        %(retry_refused)s
        or coalesce(known.refused_fingerprint, '') <> latest.contact_fingerprint
        or coalesce(known.refused_mapping, '') <> %(mapping_version)s
    )
