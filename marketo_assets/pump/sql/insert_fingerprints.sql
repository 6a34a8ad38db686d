insert into PUMP_FINGERPRINTS (
    pump, key, fingerprint, acknowledged_at, refused_fingerprint, refused_mapping, refused_code, refused_at
)
select
    %(pump)s,
    e.key,
    iff(r.status in ('created', 'updated'), e.fingerprint, null),
    iff(r.status in ('created', 'updated'), %(now)s::timestamp_ntz, null),
    iff(r.status in ('created', 'updated'), null, e.fingerprint),
    iff(r.status in ('created', 'updated'), null, %(mapping_version)s),
    iff(r.status in ('created', 'updated'), null, r.code),
    iff(r.status in ('created', 'updated'), null, %(now)s::timestamp_ntz)
from ${results} r
join PUMP_EXPORTS e on e.pump = %(pump)s and e.file = %(file)s and e.row_number = r.row_number
left join PUMP_FINGERPRINTS f on f.pump = %(pump)s and f.key = e.key
where r.status in ('created', 'updated', 'rejected', 'skipped') and f.key is null
