-- Contacts to look at, numbered: those that meet their lead for the first time, those where one side is not as it was
-- when the two were last in step, and those whose lead is gone. What the warehouse changed comes first: it makes calls, and
-- the others are settled meanwhile.
create or replace temporary table ${snapshot} as
${latest_contacts},
known as (
    select * from SYNC_CONTACTS where pump = %(pump)s
),
free as (
    -- One live lead for each key, of those that no contact has.
    select LEADS.lead_id, LEADS.contact_key
    from LEADS
    left join known on known.lead_id = LEADS.lead_id and known.state = 'linked'
    where LEADS.merged_into is null and LEADS.deleted_at is null and known.lead_id is null
        and LEADS.contact_key is not null
    qualify ${choice}
)
select
    row_number() over (
        order by iff(known.contact_fingerprint = latest.contact_fingerprint, 1, 0), latest.contact_key
    ) as snapshot_row,
    latest.*,
    known.state as state,
    known.lead_id as known_id,
    known.bases as bases,
    iff(linked.lead_id is not null and linked.merged_into is null and linked.deleted_at is null,
        linked.lead_id, free.lead_id) as target_id,
    case
        when linked.merged_into is not null then 'merged'
        else 'deleted'
    end as lost_reason
from latest
left join known on known.contact_key = latest.contact_key
left join LEADS linked on linked.lead_id = known.lead_id
left join free on free.contact_key = latest.contact_key
where (known.contact_key is null and free.lead_id is not null)
    or known.state = 'gone'
    or (known.state = 'lost' and (free.lead_id is not null or %(lost_is_acted_on)s))
    or (
        known.state = 'linked'
        and (
            linked.lead_id is null
            or linked.merged_into is not null
            or linked.deleted_at is not null
            or known.contact_fingerprint <> latest.contact_fingerprint
            or known.lead_hash <> linked.fields_hash
        )
    )
